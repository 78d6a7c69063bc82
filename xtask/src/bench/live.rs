//! Very many live sessions on a stand-in for LiveKit: what it costs to compare each with its room once in an interval,
//! and how many webhook events two processes apply meanwhile.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{
    cpu::{Usage, cpu, cpu_with_children, memory_mib},
    load::Request,
    subject::{Bench, UNLIMITED},
    webhook_load::{self, WebhookLoad},
};
use crate::{
    cache, dev,
    process::{Server, bound, free_port, interrupted, wait_for},
    seed::{self, Client, Seeded},
    stack::Ports,
};

const SESSIONS: usize = 10_000;
/// Clients that start them.
const STARTERS: usize = 64;
/// Connections of another tenant that reads, and how long it does.
const READERS: usize = 2;
const READING: Duration = Duration::from_secs(15);
/// Default of `PATCHBAY_RECONCILE_INTERVAL`.
const INTERVAL: Duration = Duration::from_secs(30);
const INTERVALS: u32 = 2;
/// Rates of webhook events in a second, each for some seconds.
const RATES: [u32; 4] = [500, 1_000, 1_500, 2_000];
const SECONDS: u32 = 15;
/// Rooms of the events.
const ROOMS: usize = 500;

/// Runs the benchmark, on servers of its own.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    let folder = bench.folder.join("live");
    std::fs::create_dir_all(&folder)?;
    let (_stand_in, livekit) = start_stand_in(bench, &folder)?;
    let settings = [
        ("PATCHBAY_LOG", "warn"),
        ("PATCHBAY_KEY_LIMITS", UNLIMITED),
        ("PATCHBAY_TENANT_LIMITS", UNLIMITED),
        ("PATCHBAY_SESSION_LIMIT", "0"),
        ("PATCHBAY_START_WAIT", "0ms"),
        ("LIVEKIT_URL", &*livekit),
    ];
    let mut running =
        dev::start_binary(bench.tools, &folder, &Ports::FREE, bench.binary, &settings)?;
    // It knows nothing of the stand-in's rooms.
    running.worker.stop();
    let seeded = seed::seed(&running.base, &running.operator_key, "live")?;
    start_sessions(bench, &running, &livekit, &seeded)?;
    reconcile(&running, &livekit)?;
    webhooks(bench, &running, &folder, &seeded)?;
    println!("\nCPU of each:");
    bench.report.print("live: ");
    Ok(())
}

/// Adds to the report what each of so many requests to the api, and to PostgreSQL, has cost since `before`, with all else
/// that is done meanwhile: the reads of the other tenant, or the comparison of live sessions with their rooms.
fn add_cost(
    bench: &Bench<'_>,
    running: &dev::Running,
    row: &str,
    before: Usage,
    (api, postgres): (f64, f64),
) {
    let used = Usage::of(running).since(before);
    bench.report.add(row, "api", used.api as f64 / api);
    bench
        .report
        .add(row, "postgres", used.postgres as f64 / postgres);
}

/// Starts the stand-in for LiveKit; returns it with its URL.
pub fn start_stand_in(bench: &Bench<'_>, folder: &Path) -> Result<(Server, String)> {
    let port = free_port("the stand-in for LiveKit", 0)?;
    let log = folder.join("stand-in.log");
    let mut command = bound(&bench.tools.python);
    command
        .arg("-B")
        .arg(cache::repository().join("xtask/client/livekit_stand_in.py"))
        .arg(port.to_string());
    let mut server = Server::start("the stand-in for LiveKit", &mut command, &log)?;
    let listens = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("listening"));
    let patience = Duration::from_secs(30);
    wait_for("the stand-in", patience, &log, &mut server, listens)?;
    Ok((server, format!("http://127.0.0.1:{port}")))
}

/// The number of rows of these.
pub fn count(bench: &Bench<'_>, running: &dev::Running, what: &str) -> Result<usize> {
    let url = &running.stack.database_owner_url;
    let rows = bench
        .tools
        .psql(url, &format!("SELECT count(*) FROM {what}"))?;
    let last = rows.lines().rfind(|line| !line.is_empty());
    last.and_then(|line| line.trim().parse().ok())
        .with_context(|| format!("no count in {rows}"))
}

/// Starts all sessions at once while another tenant reads, and waits until each is running; fails unless each has one room
/// and one run.
fn start_sessions(
    bench: &Bench<'_>,
    running: &dev::Running,
    livekit: &str,
    seeded: &Seeded,
) -> Result<()> {
    let other = seed::seed(&running.base, &running.operator_key, "other")?;
    let read = format!("/api/tenants/{}/agents/{}", other.tenant, other.agent);
    let read = Request::new(&running.base, &other.key, &read, None);
    let quiet = read.load(READERS, READING)?;
    let (started, before) = (Instant::now(), Usage::of(running));
    let path = format!("/api/tenants/{}/sessions", seeded.tenant);
    let body =
        json!({ "agent_id": seeded.agent, "variables": { "company": "Acme" }, "start": true });
    let next = AtomicUsize::new(0);
    let start = || -> Result<Duration> {
        let client = Client::new(&running.base, &seeded.key);
        while next.fetch_add(1, Ordering::Relaxed) < SESSIONS {
            client.post(&path, &body)?;
        }
        Ok(started.elapsed())
    };
    let (during, posted) = thread::scope(|scope| -> Result<_> {
        let starters: Vec<_> = (0..STARTERS).map(|_| scope.spawn(start)).collect();
        let during = read.load(READERS, READING);
        let mut posted = Duration::ZERO;
        for starter in starters {
            posted = posted.max(starter.join().expect("no panic")?);
        }
        Ok((during?, posted))
    })?;
    ensure!(posted > READING, "the starts ended before the reads");
    let of_tenant = |table: &str| {
        let tenant = &seeded.tenant;
        format!("(SELECT set_config('app.tenant_id', '{tenant}', false)) x, {table}")
    };
    let live = of_tenant("sessions WHERE state = 'running'");
    while count(bench, running, &live)? < SESSIONS {
        ensure!(!interrupted(), "interrupted");
        thread::sleep(Duration::from_secs(1));
    }
    let all = started.elapsed();
    let requests = SESSIONS as f64;
    let row = "live: create and start a session";
    add_cost(bench, running, row, before, (requests, requests));
    let runs = count(bench, running, &of_tenant("agent_runs"))?;
    let rooms = counted(livekit, "rooms")?;
    println!(
        "\n{SESSIONS} sessions were requested within {:.0} s and running after {:.0} s: {runs} agent runs, {rooms} rooms",
        posted.as_secs_f64(),
        all.as_secs_f64()
    );
    println!(
        "  reads of another tenant: p99 {:.1} ms before, {:.1} ms meanwhile ({:.1} times)",
        quiet.at(0.99),
        during.at(0.99),
        during.at(0.99) / quiet.at(0.99)
    );
    ensure!(
        runs == SESSIONS && usize::try_from(rooms)? == SESSIONS,
        "each session needs one room and one agent"
    );
    Ok(())
}

/// What the stand-in has counted.
fn counted(livekit: &str, what: &str) -> Result<u64> {
    let counts = Client::new(livekit, "").get("/counts")?;
    Ok(counts[what].as_u64().unwrap_or_default())
}

fn reconcile(running: &dev::Running, livekit: &str) -> Result<()> {
    let postgres = running
        .stack
        .postgres_pid()
        .context("no PostgreSQL of its own")?;
    // The first interval after the starts is not like the others.
    thread::sleep(INTERVAL);
    let ticks = || (cpu(running.api_pid()), cpu_with_children(postgres));
    let (before, compared, started) = (
        ticks(),
        counted(livekit, "ListParticipants")?,
        Instant::now(),
    );
    thread::sleep(INTERVAL * INTERVALS);
    let (after, seen, seconds) = (
        ticks(),
        counted(livekit, "ListParticipants")? - compared,
        started.elapsed().as_secs_f64(),
    );
    let share = |ticks: u64| ticks as f64 / seconds;
    let each = |ticks: u64| ticks as f64 * 10_000.0 / seen.max(1) as f64;
    let (api, database) = (after.0 - before.0, after.1 - before.1);
    println!(
        "{SESSIONS} live sessions, compared with their rooms every {} s:",
        INTERVAL.as_secs()
    );
    println!(
        "  {seen} comparisons in {seconds:.0} s, {:.0}% of what the interval promises",
        seen as f64 * 100.0 / (SESSIONS as f64 * seconds / INTERVAL.as_secs_f64())
    );
    println!(
        "  CPU: api {:.0}% of a processor ({:.0} µs for each), PostgreSQL {:.0}% ({:.0} µs); memory of the api: {} MiB at most",
        share(api),
        each(api),
        share(database),
        each(database),
        memory_mib(running.api_pid())
    );
    Ok(())
}

fn webhooks(
    bench: &Bench<'_>,
    running: &dev::Running,
    folder: &Path,
    seeded: &Seeded,
) -> Result<()> {
    let port = free_port("the second process", 0)?;
    let listen = format!("127.0.0.1:{port}");
    let log = folder.join("api-2.log");
    let second = [("PATCHBAY_LISTEN", &*listen)];
    let mut second = running.api.again(&second, &log)?;
    let client = Client::new(&format!("http://{listen}"), "");
    let patience = Duration::from_secs(30);
    wait_for("the second process", patience, &log, &mut second, || {
        client.get("/health/ready").is_ok()
    })?;
    let mut rooms = webhook_load::rooms(bench, running, seeded)?;
    rooms.truncate(ROOMS);
    println!(
        "webhook events of {} rooms, through two processes, {SECONDS} s for each rate:",
        rooms.len()
    );
    for rate in RATES {
        let hosts = format!("{},{listen}", running.base.trim_start_matches("http://"));
        let duration = Duration::from_secs(SECONDS.into());
        let rooms = rooms.iter().map(String::as_str);
        let load = WebhookLoad::start(bench, running, &hosts, (rate, duration), rooms)?;
        let before = Usage::of(running);
        let mut lags = Vec::new();
        for _ in 0..SECONDS {
            thread::sleep(Duration::from_secs(1));
            lags.push(count(
                bench,
                running,
                "webhook_events WHERE applied_at IS NULL",
            )?);
        }
        let figures = load.figures()?;
        let sent = Instant::now();
        while count(bench, running, "webhook_events WHERE applied_at IS NULL")? > 0 {
            ensure!(!interrupted(), "interrupted");
            thread::sleep(Duration::from_millis(100));
        }
        let events = figures["events"].as_f64().unwrap_or_default();
        let row = format!("live: receive and apply a webhook event, {rate} a second");
        // The second process, which is not measured, does half of the api's work.
        add_cost(bench, running, &row, before, (events / 2.0, events));
        println!(
            "  {rate} wanted, {:.0} stored in a second; not applied after 5 s: {}, at the end: {}, gone {:.1} s later",
            events / figures["seconds"].as_f64().unwrap_or(1.0),
            lags[4],
            lags[lags.len() - 1],
            sent.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
