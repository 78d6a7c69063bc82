//! `cargo xtask soak`: drills that inject failures under load and count what was lost.

mod backup;
mod balancer;
mod busy;
mod checks;
mod claims;
mod fleet;
mod in_flight;
mod kills;
mod ledger;
mod load;
mod processes;
mod restore;
mod snapshot;
mod upgrade;
mod webhooks;

use std::{fs, path::Path};

use anyhow::Result;

use crate::{
    cache, dev,
    process::catch_signals,
    tools::{self, Tools},
};

/// The drill, and how much of it.
#[derive(clap::Args)]
pub struct Options {
    /// How often the api is killed.
    #[arg(long, default_value = "100")]
    kills: usize,
    /// Live sessions during the restart of LiveKit.
    #[arg(long, default_value = "20")]
    sessions: usize,
    /// Start sessions while every processor is busy, and one without a worker, instead.
    #[arg(long, group = "drill")]
    busy: bool,
    /// Have this many processes, at least three, of which one is killed, one stopped and one paused, instead.
    #[arg(long, group = "drill", value_parser = clap::value_parser!(u8).range(3..=9))]
    processes: Option<u8>,
    /// Take a backup under load and restore it into an empty server, instead.
    #[arg(long, group = "drill")]
    restore: bool,
    /// Upgrade under load from the version of this commit, instead.
    #[arg(long, group = "drill", value_name = "GIT REF")]
    upgrade: Option<String>,
}

/// The command.
pub fn run(options: &Options) -> Result<()> {
    catch_signals()?;
    let tools = tools::ensure(dev::build)?;
    let folder = cache::scratch("soak")?;
    let outcome = drill(options, &tools, &folder);
    match &outcome {
        Ok(()) => fs::remove_dir_all(&folder)?,
        Err(_) => println!("· the servers' logs are in {}", folder.display()),
    }
    outcome
}

fn drill(options: &Options, tools: &Tools, folder: &Path) -> Result<()> {
    match options {
        Options { busy: true, .. } => busy::run(tools, folder),
        Options { restore: true, .. } => restore::run(tools, folder),
        Options {
            processes: Some(count),
            ..
        } => processes::run(tools, folder, (*count).into()),
        Options {
            upgrade: Some(reference),
            ..
        } => upgrade::run(tools, folder, reference),
        Options {
            kills, sessions, ..
        } => kills::run(tools, folder, (*kills, *sessions)),
    }
}
