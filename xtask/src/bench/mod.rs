//! `cargo xtask bench`: the cost of requests, measured over HTTP on a dedicated stack.

mod beside;
mod cpu;
mod flamegraph;
mod flat;
mod ingest;
mod live;
mod load;
mod metrics;
mod pgbench;
mod report;
mod requests;
mod routes;
mod search;
mod sizing;
mod subject;
mod tenants;
mod tools;
mod webhook_load;
mod worker;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail, ensure};

use crate::{
    cache, dev,
    process::{self, catch_signals},
    seed,
    stack::Ports,
    tools::Tools,
};
use cpu::memory_mib;
use flamegraph::Recorder;
use report::Report;
use subject::{Bench, UNLIMITED};

type Measure = fn(&Bench<'_>) -> Result<()>;

/// All benchmarks, in order.
const ALL: [(&str, Measure); 12] = [
    ("requests", requests::measure),
    ("routes", routes::measure),
    ("tools", tools::measure),
    ("tenants", tenants::measure),
    ("metrics", metrics::measure),
    ("flat", flat::measure),
    ("search", search::measure),
    ("ingest", ingest::measure),
    ("live", live::measure),
    ("sizing", sizing::measure),
    ("worker", worker::measure),
    // The last one of those on the common stack, for what it leaves there.
    ("beside", beside::measure),
];

/// What is measured, and how.
#[derive(clap::Args)]
pub struct Options {
    /// Only this one.
    only: Option<String>,
    /// Write the figures to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Compare to the figures in this file.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Log level of the api.
    #[arg(long, default_value = "info")]
    log: String,
    /// Measure this binary instead of a new build of the profile `dist`.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Draw a flame graph of the api into this file; needs `perf` and `inferno`.
    #[arg(long, conflicts_with = "binary")]
    flamegraph: Option<PathBuf>,
}

impl Options {
    /// Builds what is measured.
    fn build(&self) -> Result<()> {
        let build = ["build", "--profile", "dist", "--package", "patchbay-api"];
        match (&self.binary, &self.flamegraph) {
            (Some(_), _) => Ok(()),
            (None, Some(_)) => flamegraph::build(),
            (None, None) => {
                process::run("building what operators run", &mut process::cargo(&build))
            }
        }
    }

    /// The binary that is measured.
    fn binary(&self) -> PathBuf {
        match (&self.binary, &self.flamegraph) {
            (Some(binary), _) => binary.clone(),
            (None, Some(_)) => dev::binary(flamegraph::PROFILE),
            (None, None) => dev::binary("dist"),
        }
    }
}

/// The command.
pub fn run(options: &Options) -> Result<()> {
    let known = |name: &String| ALL.iter().any(|(other, _)| other == name);
    let names = ALL.map(|(name, _)| name).join(", ");
    ensure!(
        options.only.as_ref().is_none_or(known),
        "what can be measured: {names}"
    );
    catch_signals()?;
    if let Some(missing) = flamegraph::missing().filter(|_| options.flamegraph.is_some()) {
        bail!("{missing}");
    }
    let tools = crate::tools::ensure(|| options.build())?;
    let folder = cache::scratch("bench")?;
    let report = Report::default();
    let outcome = measure(&tools, &folder, options, &report);
    fs::remove_dir_all(&folder)?;
    // What was measured before a failure is not lost.
    if let Some(file) = &options.json {
        report.write(file)?;
    }
    outcome?;
    match &options.compare {
        Some(earlier) => report.compare(earlier),
        None => Ok(()),
    }
}

fn measure(tools: &Tools, folder: &Path, options: &Options, report: &Report) -> Result<()> {
    let settings = [
        ("PATCHBAY_LOG", &*options.log),
        ("PATCHBAY_KEY_LIMITS", UNLIMITED),
        ("PATCHBAY_TENANT_LIMITS", UNLIMITED),
        ("PATCHBAY_SESSION_LIMIT", "0"),
        ("PATCHBAY_ROOM_EMPTY_TIMEOUT", "1h"),
    ];
    let binary = options.binary();
    let running = dev::start_binary(tools, folder, &Ports::FREE, &binary, &settings)?;
    let seeded = seed::seed(&running.base, &running.operator_key, "bench")?;
    let bench = Bench {
        tools,
        folder,
        binary: &binary,
        running: &running,
        seeded: &seeded,
        report,
    };
    let recorder = match options.flamegraph {
        Some(_) => Some(Recorder::start(running.api_pid(), folder)?),
        None => None,
    };
    for (name, measure) in ALL {
        if options.only.as_ref().is_none_or(|only| only == name) {
            measure(&bench)?;
        }
    }
    if let (Some(recorder), Some(graph)) = (recorder, &options.flamegraph) {
        recorder.draw(graph)?;
    }
    let memory = memory_mib(running.api_pid());
    println!("\nmemory of the api: {memory} MiB at most");
    Ok(())
}
