//! Developer commands. `cargo xtask dev` brings everything up, `cargo xtask test` proves it.

mod bench;
mod cache;
mod check;
mod clients;
mod demo;
mod dev;
mod fuzz;
mod phone;
mod process;
mod seed;
mod soak;
mod stack;
mod steps;
mod story;
mod talk;
mod test;
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
    /// Bring everything up and serve, with a demo tenant, until Ctrl-C.
    Dev {
        /// Begin with empty data.
        #[arg(long)]
        fresh: bool,
    },
    /// Tell the main job as a story: a real session, from nothing to its audit trail.
    Demo {
        /// Tell of a telephone call out instead, where livekit-sip and sipp are installed.
        #[arg(long)]
        call: bool,
    },
    /// All of `check`, and the whole suite on servers of its own.
    Test {
        /// Only tests whose names contain this; checks are left out.
        filter: Option<String>,
    },
    /// Measure what requests cost: `read`s beside pgbench, `writes`, `tools`, `tenants` of which one floods, `metrics`.
    Bench {
        /// Only this one.
        only: Option<String>,
    },
    /// Break things on purpose, for minutes: kill the api under writes, restart PostgreSQL and LiveKit.
    Soak {
        /// How often the api is killed.
        #[arg(long, default_value = "100")]
        kills: usize,
        /// Sessions that are up when LiveKit is restarted.
        #[arg(long, default_value = "20")]
        sessions: usize,
    },
    /// Search for input that breaks the code that meets strangers' input.
    Fuzz {
        /// Only targets whose names contain this.
        target: Option<String>,
        /// How long each of them runs; 0 to build them alone.
        #[arg(long, default_value = "60")]
        seconds: u64,
        /// With a fault planted for each target; fails unless each finds its own.
        #[arg(long)]
        planted: bool,
    },
    /// The quick part of `test`: format, clippy, arrows between crates, circles of files, document drift, banned words.
    Check {
        /// Only steps whose names contain this, such as `circles`.
        filter: Option<String>,
    },
    /// By hand before a release: licenses, rustdoc, linters of the document, client generators, a minute of fuzzing.
    Verify {
        /// Only steps whose names contain this, such as `document`.
        filter: Option<String>,
    },
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
        Command::Test { filter } => test::all(filter.as_deref()),
        Command::Bench { only } => bench::run(only.as_deref()),
        Command::Soak { kills, sessions } => soak::run(kills, sessions),
        Command::Fuzz {
            target,
            seconds,
            planted,
        } => fuzz::all(target.as_deref(), seconds, planted),
        Command::Check { filter } => check::all(filter.as_deref()),
        Command::Verify { filter } => verify::all(filter.as_deref()),
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
