//! `cargo xtask soak --busy`: whether agents come while every processor is busy with other work.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    dev,
    process::interrupted,
    seed::{self, Client, text},
    stack::Ports,
    tools::Tools,
};

/// Number of sessions.
const SESSIONS: usize = 20;
/// Time within which each has its agent.
const PROMISED: Duration = Duration::from_secs(5);
/// Time after which the figure of one that took longer is no longer waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts sessions one after the other beside two busy loops for each processor, then one without a worker.
pub fn run(tools: &Tools, folder: &std::path::Path) -> Result<()> {
    let settings = [("PATCHBAY_LOG", "warn")];
    let mut running = dev::start_binary(
        tools,
        folder,
        &Ports::FREE,
        &dev::binary("debug"),
        &settings,
    )?;
    let seeded = seed::seed(&running.base, &running.operator_key, "busy")?;
    let client = Client::new(&running.base, &seeded.key);
    let at = format!("/api/tenants/{}/sessions", seeded.tenant);
    let body =
        json!({ "agent_id": seeded.agent, "variables": { "company": "Acme" }, "start": true });
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let loops = 2 * thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..loops {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let outcome = sessions(&client, &at, &body);
        stop.store(true, Ordering::Relaxed);
        outcome.map(|()| println!("  beside {loops} busy loops"))
    })?;
    running.worker.stop();
    let made = client.post(&at, &body)?;
    let failed = wait_until(&client, &at, &made, |session| session["state"] == "failed")?;
    let why = text(&failed, "/error/message")?;
    ensure!(
        failed["end_reason"] == "no_worker" && why.contains("No worker took any of"),
        "{failed}"
    );
    println!("without a worker a session fails and says why: {why}");
    Ok(())
}

fn sessions(client: &Client, at: &str, body: &Value) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..SESSIONS {
        ensure!(!interrupted(), "interrupted");
        let started = Instant::now();
        let made = client.post(at, body)?;
        wait_until(client, at, &made, |session| session["state"] == "running")?;
        times.push(started.elapsed());
    }
    times.sort();
    let in_time = times.iter().filter(|time| **time <= PROMISED).count();
    println!(
        "{in_time} of {SESSIONS} sessions had their agent within {PROMISED:?}: {:.2} s at the median, {:.2} s at most",
        times[SESSIONS / 2].as_secs_f64(),
        times[SESSIONS - 1].as_secs_f64()
    );
    ensure!(in_time == SESSIONS, "an agent came too late");
    Ok(())
}

fn wait_until(
    client: &Client,
    at: &str,
    session: &Value,
    test: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let path = format!("{at}/{}", text(session, "/id")?);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let session = client.get(&path)?;
        if test(&session) {
            return Ok(session);
        }
        ensure!(Instant::now() < deadline, "{session}");
        thread::sleep(Duration::from_millis(50));
    }
}
