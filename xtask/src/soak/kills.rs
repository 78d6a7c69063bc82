//! `cargo xtask soak`: the api is killed under writes again and again, PostgreSQL is restarted under load, and LiveKit with
//! live sessions.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{checks::Database, fleet::UNLIMITED, ledger::Ledger, load::Load};
use crate::{
    dev,
    process::{interrupted, patience},
    seed::{self, Client, Seeded, text},
    stack::Ports,
    tools::Tools,
};

/// Maximum recovery time of the service on an idle machine.
const RECOVERY: Duration = Duration::from_secs(5);
/// Maximum time for a session to start or stop on an idle machine.
const CHANGE: Duration = Duration::from_secs(15);

/// Runs the drill.
pub fn run(tools: &Tools, folder: &Path, (kills, sessions): (usize, usize)) -> Result<()> {
    let settings = [
        ("PATCHBAY_LOG", "warn"),
        ("PATCHBAY_KEY_LIMITS", UNLIMITED),
        ("PATCHBAY_TENANT_LIMITS", UNLIMITED),
        ("PATCHBAY_REQUEST_TIMEOUT", "3s"),
    ];
    let mut running = dev::start_binary(
        tools,
        folder,
        &Ports::FREE,
        &dev::binary("debug"),
        &settings,
    )?;
    let seeded = seed::seed(&running.base, &running.operator_key, "soak")?;
    kill_the_api(tools, &mut running, &seeded, kills)?;
    restart_postgres(&mut running, &seeded)?;
    restart_livekit(&mut running, &seeded, sessions)
}

fn kill_the_api(
    tools: &Tools,
    running: &mut dev::Running,
    seeded: &Seeded,
    kills: usize,
) -> Result<()> {
    let started = Instant::now();
    let ledger = Ledger::new(&running.base, seeded, 0);
    Load::WRITES.run(&ledger, || {
        for kill in 0..kills {
            ensure!(!interrupted(), "interrupted");
            // At a different moment of a write each time.
            thread::sleep(Duration::from_millis(80 + (kill as u64 * 37) % 120));
            running.restart_api()?;
        }
        Ok(())
    })?;
    let database = Database {
        tools,
        url: &running.stack.database_owner_url,
        tenant: &seeded.tenant,
    };
    database.require_acknowledged(&ledger)?;
    println!(
        "api killed {kills} times in {:.0} s: {}; none lost, none twice, no half rows",
        started.elapsed().as_secs_f64(),
        ledger.entries().summary()
    );
    Ok(())
}

fn restart_postgres(running: &mut dev::Running, seeded: &Seeded) -> Result<()> {
    // New numbers, as the keys of the first round are used.
    let ledger = Ledger::new(&running.base, seeded, 1_000_000);
    let mut recovered = Duration::ZERO;
    let client = Client::new(&running.base, &seeded.key);
    Load::WRITES.run(&ledger, || {
        thread::sleep(Duration::from_secs(2));
        running.stack.restart("PostgreSQL")?;
        let up = Instant::now();
        while client.get("/health/ready").is_err() {
            ensure!(
                up.elapsed() < patience(RECOVERY * 4),
                "not ready {:?} after PostgreSQL was",
                up.elapsed()
            );
            thread::sleep(Duration::from_millis(20));
        }
        recovered = up.elapsed();
        thread::sleep(Duration::from_secs(2));
        Ok(())
    })?;
    ledger.require_no_wrong()?;
    ensure!(
        recovered <= patience(RECOVERY),
        "healthy only after {recovered:?}"
    );
    println!(
        "PostgreSQL restarted under load: ready {:.2} s after it answered again, no response but 503 with Retry-After; {}",
        recovered.as_secs_f64(),
        ledger.entries().summary()
    );
    Ok(())
}

/// Retries until it succeeds. A busy service responds with 503, and the key makes a retry safe.
fn insist(client: &Client, path: &str, body: &Value, key: &str) -> Result<Value> {
    let deadline = Instant::now() + patience(CHANGE);
    loop {
        let answer = client.once(path, body, key)?;
        let is_busy = answer.status == 503 || answer.body["code"] == "idempotency_in_flight";
        if !is_busy || Instant::now() > deadline {
            let done = (200..300).contains(&answer.status);
            ensure!(done, "{path}: {} {}", answer.status, answer.body);
            return Ok(answer.body);
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn restart_livekit(running: &mut dev::Running, seeded: &Seeded, sessions: usize) -> Result<()> {
    let client = Client::new(&running.base, &seeded.key);
    let at = format!("/api/tenants/{}/sessions", seeded.tenant);
    let body =
        json!({ "agent_id": seeded.agent, "variables": { "company": "Acme" }, "start": true });
    let mut paths = Vec::new();
    for number in 0..sessions {
        let made = insist(&client, &at, &body, &format!("soak-start-{number}"))?;
        paths.push(format!("{at}/{}", text(&made, "/id")?));
    }
    for path in &paths {
        crate::story::wait_for_state(&client, path, "running")?;
    }
    // An agent that is still publishing its track when LiveKit goes down is replaced; these have finished.
    thread::sleep(Duration::from_secs(5));
    running.stack.restart("LiveKit")?;
    // Clients and agents reconnect within about 6 s; the grace period is 10 s, and the reconcile interval 30 s.
    thread::sleep(Duration::from_secs(45));
    for path in &paths {
        let session = client.get(path)?;
        ensure!(text(&session, "/state")? == "running", "{session}");
        let runs = client.get(&format!("{path}/agent-runs"))?;
        let runs = runs["data"].as_array().context("no runs")?;
        ensure!(runs.len() == 1 && runs[0]["state"] == "joined", "{runs:?}");
    }
    for (number, path) in paths.iter().enumerate() {
        let stop = format!("{path}/stop");
        insist(&client, &stop, &json!({}), &format!("soak-stop-{number}"))?;
    }
    println!(
        "LiveKit restarted with {sessions} sessions up: all of them run on, each with its one agent"
    );
    Ok(())
}
