//! `cargo xtask bench`: what requests cost, measured from outside on a stack of its own.

mod load;
mod read;
mod tenants;
mod tools;
mod writes;

use std::{fs, path::Path};

use anyhow::Result;

use crate::{
    cache, dev,
    process::{self, catch_signals},
    seed::{self, Seeded},
    stack::Ports,
    tools::Tools,
};

/// No limits: what is measured is the work.
const UNLIMITED: &str = "reads=0,writes=0,starts=0";

/// What is measured.
pub struct Bench<'a> {
    tools: &'a Tools,
    folder: &'a Path,
    running: &'a dev::Running,
    seeded: &'a Seeded,
}

/// The command.
pub fn run() -> Result<()> {
    catch_signals()?;
    let tools = crate::tools::ensure(|| {
        let build = ["build", "--release", "--package", "patchbay-api"];
        process::run("building the release", &mut process::cargo(&build))
    })?;
    let folder = cache::directory()?.join(format!("bench-{}", std::process::id()));
    let outcome = measure(&tools, &folder);
    fs::remove_dir_all(&folder)?;
    outcome
}

fn measure(tools: &Tools, folder: &Path) -> Result<()> {
    let ports = Ports {
        postgres: 0,
        livekit: 0,
        api: 0,
    };
    let settings = [
        ("PATCHBAY_LOG", "warn"),
        ("PATCHBAY_KEY_LIMITS", UNLIMITED),
        ("PATCHBAY_TENANT_LIMITS", UNLIMITED),
    ];
    let running = dev::start_binary(tools, folder, &ports, &dev::binary("release"), &settings)?;
    let seeded = seed::seed(&running.base, &running.operator_key, "bench")?;
    let bench = Bench {
        tools,
        folder,
        running: &running,
        seeded: &seeded,
    };
    read::measure(&bench)?;
    writes::measure(&bench)?;
    tools::measure(&bench)?;
    tenants::measure(&bench)
}
