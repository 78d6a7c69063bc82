//! Developer commands, such as `cargo xtask dev` and `cargo xtask test`.

mod bench;
mod cache;
mod check;
mod citus;
mod clients;
mod demo;
mod dev;
mod dist;
mod fuzz;
mod manifests;
mod pgbouncer;
mod phone;
mod postgres;
mod process;
mod secrets;
mod seed;
mod soak;
mod stack;
mod steps;
mod story;
mod talk;
mod test;
mod timings;
mod tls;
mod tools;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of Patchbay")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything and serve, with a demo tenant, until Ctrl-C.
    Dev {
        /// Begin with empty data.
        #[arg(long)]
        fresh: bool,
    },
    /// Show the main use cases: a real session, from an empty tenant to its audit trail.
    Demo {
        /// Show an outbound phone call instead, if livekit-sip and sipp are installed.
        #[arg(long)]
        call: bool,
    },
    /// All of `check`, and all tests on dedicated servers.
    Test(test::Options),
    /// Measure the cost of `requests` compared to pgbench, one read of all `routes`, `tools`, `tenants` of which one
    /// floods, `metrics`, `flat` lists, `search`, `ingest`, very many `live` sessions and their webhooks, jobs of the `worker`.
    Bench(bench::Options),
    /// Inject failures for minutes: kill the api under writes, restart PostgreSQL and LiveKit.
    Soak(soak::Options),
    /// Search for input that breaks the code that handles untrusted input.
    Fuzz {
        /// Only targets whose names contain this.
        target: Option<String>,
        /// Seconds for each of them; 0 to only build them.
        #[arg(long, default_value = "60")]
        seconds: u64,
        /// Plant a fault for each target; fails unless each finds its own.
        #[arg(long)]
        planted: bool,
    },
    /// The quick part of `test`: format, clippy, dependency rules, circular imports, document drift, one version
    /// everywhere, banned words.
    Check {
        /// Only steps whose names contain this, such as `circles`.
        filter: Option<String>,
    },
    /// Manual checks before a release: licenses, rustdoc, linters of the document, client generators, a minute of
    /// fuzzing.
    Verify {
        /// Only steps whose names contain this, such as `document`.
        filter: Option<String>,
    },
    /// Make a release: binary, document, chart, bill of materials, notices and checksums in one folder.
    Dist(dist::Options),
    /// Write `openapi/openapi.json`.
    Openapi {
        /// Compare instead, and fail with the difference.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Dev { fresh } => dev::run(fresh),
        Command::Demo { call } => demo::run(call),
        Command::Test(options) => test::all(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Fuzz {
            target,
            seconds,
            planted,
        } => fuzz::all(target.as_deref(), seconds, planted),
        Command::Check { filter } => check::all(filter.as_deref()),
        Command::Verify { filter } => verify::all(filter.as_deref()),
        Command::Dist(options) => dist::make(&options),
        Command::Openapi { check: false } => check::write_document(),
        Command::Openapi { check: true } => check::document(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
