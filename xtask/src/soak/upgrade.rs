//! `cargo xtask soak --upgrade <ref>`: the binary of an earlier commit serves under load while the new one migrates its
//! database, starts beside it and takes its place. No request may get a 5xx.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::{
    checks::Database,
    fleet::{Fleet, SETTINGS},
    ledger::Ledger,
    load::Load,
    webhooks,
};
use crate::{
    cache, dev,
    process::{self, cargo},
    seed,
    tools::Tools,
};

/// Time within which the old process has stopped, as it promises.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
const MIGRATIONS: &str = "__diesel_schema_migrations";

/// Runs the drill.
pub fn run(tools: &Tools, folder: &Path, reference: &str) -> Result<()> {
    let old = build(reference)?;
    fs::create_dir_all(folder)?;
    let binary = folder.join("patchbay-api");
    install(&old, &binary)?;
    let mut fleet = Fleet::start(tools, folder, &binary, &SETTINGS)?;
    let seeded = seed::seed(&fleet.running.base, &fleet.running.operator_key, "soak")?;
    let ledger = Ledger::new(&fleet.running.base, &seeded, 0);
    let url = fleet.running.stack.database_owner_url.clone();
    let database = Database {
        tools,
        url: &url,
        tenant: &seeded.tenant,
    };
    let known = database.count(MIGRATIONS)?;
    let started = Instant::now();
    let (mut migrated, mut stopped) = (Duration::ZERO, Duration::ZERO);
    Load::ALL.run(&ledger, || {
        ledger.wait_for_progress()?;
        install(&dev::binary("debug"), &binary)?;
        migrated = timed(|| dev::migrate(&binary, &url))?;
        // The old process serves on the new schema.
        ledger.wait_for_progress()?;
        fleet.add()?;
        ledger.wait_for_progress()?;
        stopped = timed(|| stop(&mut fleet))?;
        ledger.wait_for_progress()
    })?;
    let under_load = started.elapsed();
    let pending = database.count(MIGRATIONS)? - known;
    database.require_acknowledged(&ledger)?;
    database.require_effects_once()?;
    webhooks::require_applied(&database, fleet.livekit()?.log())?;
    let responses = require_no_errors(&mut fleet)?;
    let entries = ledger.entries();
    ensure!(
        entries.unavailable == 0,
        "{} times 503",
        entries.unavailable
    );
    println!(
        "{reference} served through {pending} migrations of {:.1} s, and stopped with exit code 0 in {:.1} s, beside the new version",
        migrated.as_secs_f64(),
        stopped.as_secs_f64(),
    );
    entries.print(under_load);
    println!(
        "  {responses} responses, none of them 5xx; no acknowledged write lost or twice; one room, agent run, agent and audit event each"
    );
    Ok(())
}

/// Stops the old process in order.
fn stop(fleet: &mut Fleet) -> Result<()> {
    let old = fleet.server(0);
    old.signal(Signal::TERM)?;
    let status = old.wait(STOPPED_WITHIN)?;
    ensure!(status.success(), "the old process ended with {status}");
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}

/// Puts a binary into its place. A process that runs keeps the one that was there.
fn install(binary: &Path, place: &Path) -> Result<()> {
    let new = place.with_extension("new");
    fs::copy(binary, &new)?;
    Ok(fs::rename(new, place)?)
}

/// Fails if either process has responded with a 5xx, other than to probes of its readiness; returns how many responses there
/// were.
fn require_no_errors(fleet: &mut Fleet) -> Result<usize> {
    let mut count = 0;
    for index in 0..2 {
        let log = fs::read_to_string(fleet.server(index).log())?;
        for line in log.lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            if line["route"] == "/health/ready" || line["message"] != "request completed" {
                continue;
            }
            let status = line["status"]
                .as_u64()
                .context("a response without a status")?;
            ensure!(status < 500, "a response with {status}: {line}");
            count += 1;
        }
    }
    ensure!(count > 0, "the logs have no responses");
    Ok(count)
}

/// The binary of a commit, built in a worktree of its own, unless it is there from the last time.
fn build(reference: &str) -> Result<PathBuf> {
    let commit = git(&[
        "rev-parse",
        "--verify",
        "--end-of-options",
        &format!("{reference}^{{commit}}"),
    ])?;
    let _lock = cache::lock("upgrade")?;
    let folder = cache::directory()?.join("upgrade");
    let binary = folder.join(format!("patchbay-api-{commit}"));
    if binary.exists() {
        return Ok(binary);
    }
    fs::create_dir_all(&folder)?;
    let source = folder.join("source");
    let path = source.display().to_string();
    // One that an interrupted run has left.
    let _ = git(&["worktree", "remove", "--force", &path]);
    git(&["worktree", "add", "--detach", &path, &commit])?;
    let mut build = cargo(&["build", "--package", "patchbay-api"]);
    build
        .current_dir(&source)
        .env("CARGO_TARGET_DIR", folder.join("target"));
    let built = process::run(&format!("building {reference}"), &mut build);
    git(&["worktree", "remove", "--force", &path])?;
    built?;
    // Only the last one is kept.
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("patchbay-api-")
        {
            fs::remove_file(entry.path())?;
        }
    }
    install(&folder.join("target/debug/patchbay-api"), &binary)?;
    Ok(binary)
}

/// Runs git in the repository; returns what it prints.
fn git(arguments: &[&str]) -> Result<String> {
    let mut git = Command::new("git");
    let output = git
        .args(arguments)
        .current_dir(cache::repository())
        .output();
    let output = output.context("git cannot be run")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {words}", arguments[0]);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
