//! `cargo xtask soak`: rounds of injected failures that count what was lost.

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    busy, cache, dev,
    process::{catch_signals, interrupted, patience},
    seed::{self, Client, Seeded, text},
    stack::Ports,
    tools::{self, Tools},
};

const WRITERS: usize = 4;
/// Maximum recovery time of the service on an idle machine.
const RECOVERY: Duration = Duration::from_secs(5);
/// Maximum time for a session to start or stop on an idle machine.
const CHANGE: Duration = Duration::from_secs(15);
const UNLIMITED: &str = "reads=0,writes=0,starts=0";

/// The command: the api is killed `kills` times under writes, PostgreSQL is restarted under load, LiveKit is
/// restarted with `sessions` live ones; or, if `busy`, sessions start beside busy processors.
pub fn run(kills: usize, sessions: usize, busy: bool) -> Result<()> {
    catch_signals()?;
    let tools = tools::ensure(dev::build)?;
    let folder = cache::scratch("soak")?;
    let outcome = match busy {
        true => busy::run(&tools, &folder),
        false => rounds(&tools, &folder, (kills, sessions)),
    };
    match &outcome {
        Ok(()) => fs::remove_dir_all(&folder)?,
        Err(_) => println!("· the servers' logs are in {}", folder.display()),
    }
    outcome
}

fn rounds(
    tools: &Tools,
    folder: &std::path::Path,
    (kills, sessions): (usize, usize),
) -> Result<()> {
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

/// The responses to the writers.
struct Ledger {
    base: String,
    path: String,
    key: String,
    agent: String,
    next: AtomicUsize,
    stop: AtomicBool,
    /// Whether writers give up: after the end the last writes may stay unacknowledged.
    failed: AtomicBool,
    /// Number and id of every acknowledged session.
    acknowledged: Mutex<Vec<(usize, String)>>,
    /// Responses that were neither 2xx nor a 503 with Retry-After.
    wrong: Mutex<Vec<String>>,
    unavailable: AtomicUsize,
}

impl Ledger {
    fn of(running: &dev::Running, seeded: &Seeded) -> Self {
        Self {
            base: running.base.clone(),
            path: format!("/api/tenants/{}/sessions", seeded.tenant),
            key: seeded.key.clone(),
            agent: seeded.agent.clone(),
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            acknowledged: Mutex::default(),
            wrong: Mutex::default(),
            unavailable: AtomicUsize::new(0),
        }
    }

    /// Creates sessions, each repeated with its Idempotency-Key until it is acknowledged.
    fn write(&self) {
        let client = Client::new(&self.base, &self.key);
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let body = json!({
                "agent_id": self.agent, "variables": { "company": "Acme" }, "metadata": { "number": number },
            });
            while !self.attempt(&client, number, &body) && !self.failed.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Whether this number is acknowledged.
    fn attempt(&self, client: &Client, number: usize, body: &Value) -> bool {
        let Ok(answer) = client.once(&self.path, body, &format!("soak-{number}")) else {
            // The connection broke; the outcome is unknown, and the key makes a retry safe.
            return false;
        };
        let repeats = answer.body["code"] == "idempotency_in_flight";
        match (answer.status, answer.retry_after) {
            (201, _) => {
                let id = answer.body["id"].as_str().unwrap_or_default().to_owned();
                self.acknowledged
                    .lock()
                    .expect("writers do not panic")
                    .push((number, id));
                true
            }
            (503, Some(_)) => {
                self.unavailable.fetch_add(1, Ordering::Relaxed);
                false
            }
            _ if repeats => false,
            (status, _) => {
                let what = format!("{status} {}", answer.body);
                self.wrong.lock().expect("writers do not panic").push(what);
                true
            }
        }
    }

    fn no_wrong_answers(&self) -> Result<()> {
        let wrong = self.wrong.lock().expect("writers do not panic");
        ensure!(
            wrong.is_empty(),
            "{} wrong answers, such as {}",
            wrong.len(),
            wrong[0]
        );
        Ok(())
    }
}

/// Runs `work` while writers write.
fn under_writes(ledger: &Ledger, work: impl FnOnce() -> Result<()>) -> Result<()> {
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| ledger.write());
        }
        let outcome = work();
        ledger.failed.store(outcome.is_err(), Ordering::Relaxed);
        ledger.stop.store(true, Ordering::Relaxed);
        outcome
    })
}

fn kill_the_api(
    tools: &Tools,
    running: &mut dev::Running,
    seeded: &Seeded,
    kills: usize,
) -> Result<()> {
    let started = Instant::now();
    let ledger = Ledger::of(running, seeded);
    under_writes(&ledger, || {
        for kill in 0..kills {
            ensure!(!interrupted(), "interrupted");
            // At a different moment of a write each time.
            thread::sleep(Duration::from_millis(80 + (kill as u64 * 37) % 120));
            running.restart_api()?;
        }
        Ok(())
    })?;
    ledger.no_wrong_answers()?;
    let acknowledged = ledger
        .acknowledged
        .into_inner()
        .expect("writers do not panic");
    let sql = checks(&seeded.tenant);
    let rows = tools.psql(&running.stack.database_owner_url, &sql)?;
    let half: Vec<_> = rows
        .lines()
        .filter(|line| line.starts_with("half"))
        .collect();
    ensure!(
        half.iter().all(|line| line.ends_with("|0")),
        "half rows: {half:?}"
    );
    let numbers: Vec<_> = rows
        .lines()
        .filter_map(|line| line.strip_prefix("session|"))
        .collect();
    let mut lost = 0;
    for (number, id) in &acknowledged {
        let row = format!("{number}|{id}");
        lost += usize::from(numbers.iter().filter(|known| **known == row).count() != 1);
    }
    ensure!(
        lost == 0,
        "{lost} of {} acknowledged writes were lost",
        acknowledged.len()
    );
    ensure!(
        numbers.len() == acknowledged.len(),
        "{} sessions for {} acknowledged writes: something happened twice",
        numbers.len(),
        acknowledged.len()
    );
    println!(
        "api killed {kills} times in {:.0} s: {} writes acknowledged, none lost, none twice, no half rows",
        started.elapsed().as_secs_f64(),
        acknowledged.len()
    );
    Ok(())
}

/// SQL for partial rows, and for every session with its number.
fn checks(tenant: &str) -> String {
    let missing = |name: &str, without: &str| {
        format!("SELECT 'half {name}', count(*) FROM sessions s WHERE NOT EXISTS ({without});")
    };
    [
        format!("SET app.tenant_id = '{tenant}';"),
        missing("room", "SELECT 1 FROM rooms r WHERE r.session_id = s.id"),
        missing("configuration", "SELECT 1 FROM configurations c WHERE c.digest = s.configuration_digest"),
        missing("timeline", "SELECT 1 FROM session_events e WHERE e.session_id = s.id AND e.kind = 'session.created'"),
        missing("audit", "SELECT 1 FROM audit_events a WHERE a.resource_id = s.id::text AND a.action = 'session.created'"),
        "SELECT 'session', metadata->>'number', id FROM sessions WHERE metadata ? 'number';".to_owned(),
    ]
    .join("\n")
}

fn restart_postgres(running: &mut dev::Running, seeded: &Seeded) -> Result<()> {
    let ledger = Ledger::of(running, seeded);
    // New numbers, as the keys of the first round are used.
    ledger.next.store(1_000_000, Ordering::Relaxed);
    let mut recovered = Duration::ZERO;
    let client = Client::new(&running.base, &seeded.key);
    under_writes(&ledger, || {
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
    ledger.no_wrong_answers()?;
    ensure!(
        recovered <= patience(RECOVERY),
        "healthy only after {recovered:?}"
    );
    println!(
        "PostgreSQL restarted under load: {} answers of 503 with Retry-After, no others; ready {:.2} s after it answered again; \
         {} writes acknowledged",
        ledger.unavailable.load(Ordering::Relaxed),
        recovered.as_secs_f64(),
        ledger
            .acknowledged
            .lock()
            .expect("writers do not panic")
            .len()
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
