//! `cargo xtask bench`: the cost of requests, measured over HTTP on a dedicated stack.

mod cpu;
mod ingest;
mod live;
mod load;
mod metrics;
mod read;
mod search;
mod subject;
mod tenants;
mod tools;
mod worker;
mod writes;

use std::{fs, path::Path};

use anyhow::{Result, ensure};

use crate::{
    cache, dev,
    process::{self, catch_signals},
    seed,
    stack::Ports,
    tools::Tools,
};
use subject::{Bench, UNLIMITED};

type Measure = fn(&Bench<'_>) -> Result<()>;

/// All benchmarks, in order.
const ALL: [(&str, Measure); 9] = [
    ("read", read::measure),
    ("writes", writes::measure),
    ("tools", tools::measure),
    ("tenants", tenants::measure),
    ("metrics", metrics::measure),
    ("search", search::measure),
    ("ingest", ingest::measure),
    ("live", live::measure),
    ("worker", worker::measure),
];

/// The command.
pub fn run(only: Option<&str>) -> Result<()> {
    let known = |name: &str| ALL.iter().any(|(other, _)| *other == name);
    let names = ALL.map(|(name, _)| name).join(", ");
    ensure!(only.is_none_or(known), "what can be measured: {names}");
    catch_signals()?;
    let tools = crate::tools::ensure(|| {
        let build = ["build", "--release", "--package", "patchbay-api"];
        process::run("building the release", &mut process::cargo(&build))
    })?;
    let folder = cache::scratch("bench")?;
    let outcome = measure(&tools, &folder, only);
    fs::remove_dir_all(&folder)?;
    outcome
}

fn measure(tools: &Tools, folder: &Path, only: Option<&str>) -> Result<()> {
    let settings = [
        ("PATCHBAY_LOG", "warn"),
        ("PATCHBAY_KEY_LIMITS", UNLIMITED),
        ("PATCHBAY_TENANT_LIMITS", UNLIMITED),
    ];
    let running = dev::start_binary(
        tools,
        folder,
        &Ports::FREE,
        &dev::binary("release"),
        &settings,
    )?;
    let seeded = seed::seed(&running.base, &running.operator_key, "bench")?;
    let bench = Bench {
        tools,
        folder,
        running: &running,
        seeded: &seeded,
    };
    for (name, measure) in ALL {
        if only.is_none_or(|only| only == name) {
            measure(&bench)?;
        }
    }
    Ok(())
}
