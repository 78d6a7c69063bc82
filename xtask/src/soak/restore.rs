//! `cargo xtask soak --restore`: a backup is taken under load, the servers are lost, and the backup is restored into an
//! empty server with a copy of the object store.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    backup::Backup,
    checks::Database,
    fleet::SETTINGS,
    ledger::{Entries, Ledger},
    load::{Load, content, digest},
};
use crate::{
    dev::{self, Running},
    postgres::Postgres,
    process::{patience, run_quiet, wait_for},
    seed::{self, Client, Seeded, text},
    stack::Ports,
    story::wait_for_state,
    tools::Tools,
};

/// Sessions that are live from before the backup to the end. Half of them end after the backup.
const LASTING: usize = 4;
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Time within which sessions that were live in the dump agree with their rooms: a lease of the dump, an interval of
/// comparison, and the grace that a missing room has.
const AGREED_WITHIN: Duration = Duration::from_secs(75);
const DELETED_WITHIN: Duration = Duration::from_secs(20);

/// What was there when the backup was taken.
struct Moment {
    backup: Backup,
    /// What had been acknowledged before it began.
    before: Entries,
    /// Sessions that are live in the backup, and after the restore.
    lasting: Vec<String>,
    /// A file that was deleted after the dump and before the copy.
    deleted: String,
}

/// Runs the drill.
pub fn run(tools: &Tools, folder: &Path) -> Result<()> {
    let mut running = dev::start_binary(
        tools,
        folder,
        &Ports::FREE,
        &dev::binary("debug"),
        &SETTINGS,
    )?;
    let seeded = seed::seed(&running.base, &running.operator_key, "soak")?;
    let ledger = Ledger::new(&running.base, &seeded, 0);
    let mut taken = None;
    Load::ALL.run(&ledger, || {
        ledger.wait_for_progress()?;
        taken = Some(back_up(tools, &running, &ledger, &seeded)?);
        ledger.wait_for_progress()
    })?;
    let moment = taken.context("no backup")?;
    moment.print(&ledger);
    let restored = lose_and_restore(tools, &mut running, &moment.backup)?;
    let database = Database {
        tools,
        url: &restored.owner_url,
        tenant: &seeded.tenant,
    };
    let client = Client::new(&running.base, &seeded.key);
    require_contents(&database, &client, &ledger, &moment)?;
    require_agreement(&database, &running, &ledger, &moment)?;
    work_on(&database, &running, &seeded)
}

/// Takes the backup while life goes on: a file is deleted between the dump and the copy, and half of the sessions that last
/// end after it.
fn back_up(tools: &Tools, running: &Running, ledger: &Ledger, seeded: &Seeded) -> Result<Moment> {
    let client = ledger.client();
    let mut lasting = Vec::new();
    for _ in 0..LASTING {
        lasting.push(start(ledger, &client)?);
    }
    let before = ledger.entries().clone();
    let deleted = before.files.keys().next().context("no files")?.clone();
    let database = Database {
        tools,
        url: &running.stack.database_owner_url,
        tenant: &seeded.tenant,
    };
    let backup = Backup::take(tools, running, || {
        ledger.entries().files.remove(&deleted);
        client.delete(&ledger.at(&format!("files/{deleted}")))?;
        let marked = "objects WHERE state NOT IN ('uploading', 'stored')";
        database.wait_for_none("objects to be deleted", marked, DELETED_WITHIN)?;
        Ok(())
    })?;
    for id in lasting.split_off(LASTING / 2) {
        stop(ledger, &client, &id)?;
    }
    start(ledger, &client)?;
    Ok(Moment {
        backup,
        before,
        lasting,
        deleted,
    })
}

/// Starts a session that is not one of the load; returns its id once it has its agent.
fn start(ledger: &Ledger, client: &Client) -> Result<String> {
    let body =
        json!({ "agent_id": ledger.agent, "variables": { "company": "Acme" }, "start": true });
    let made = client.post(&ledger.at("sessions"), &body)?;
    let id = text(&made, "/id")?.to_owned();
    wait_for_state(client, &ledger.at(&format!("sessions/{id}")), "running")?;
    Ok(id)
}

fn stop(ledger: &Ledger, client: &Client, id: &str) -> Result<()> {
    let path = ledger.at(&format!("sessions/{id}"));
    client.post(&format!("{path}/stop"), &json!({}))?;
    wait_for_state(client, &path, "ended").map(drop)
}

impl Moment {
    fn print(&self, ledger: &Ledger) {
        let Self { backup, before, .. } = self;
        let (sessions, files, live) =
            (before.sessions.len(), backup.files.len(), backup.live.len());
        let after = ledger.entries().sessions.len() - sessions;
        println!(
            "under load: dumped in {:.1} s, then the object store copied in {:.1} s, with {sessions} sessions ({live} live) and {files} files; {after} more sessions created",
            backup.dumped.as_secs_f64(),
            backup.copied.as_secs_f64(),
        );
    }
}

/// Loses the api, its database and its object store, and has the api serve from the backup, on an empty PostgreSQL.
fn lose_and_restore(tools: &Tools, running: &mut Running, backup: &Backup) -> Result<Postgres> {
    running.api.kill();
    let lost = Instant::now();
    let servers = &mut running.stack.servers;
    let postgres = servers
        .iter_mut()
        .find(|server| server.name() == "PostgreSQL");
    postgres.context("PostgreSQL is not ours")?.kill();
    // The keys are kept apart from the backup.
    let folder = running.stack.folder.join("restored");
    fs::create_dir_all(&folder)?;
    fs::copy(
        running.stack.folder.join("secrets.json"),
        folder.join("secrets.json"),
    )?;
    let restored = Postgres::start(tools, &folder, 0)?;
    let started = lost.elapsed();
    backup.restore(tools, &restored.superuser_url)?;
    let filled = lost.elapsed();
    backup.require_equal(tools, &restored.superuser_url)?;
    let objects = backup.objects.display().to_string();
    let settings = [
        ("DATABASE_URL", &*restored.url),
        ("PATCHBAY_STORAGE_DIRECTORY", &*objects),
        ("PATCHBAY_ALLOW_RLS_BYPASS", "false"),
    ];
    let mut check = Command::new(dev::binary("debug"));
    check
        .arg("check-config")
        .envs(running.api.settings())
        .envs(settings);
    run_quiet("patchbay-api check-config", &mut check)?;
    let begun = Instant::now();
    let log = running.stack.folder.join("api-restored.log");
    running.api = running.api.again(&settings, &log)?;
    let client = Client::new(&running.base, "");
    wait_for("the api", READY_WITHIN, &log, &mut running.api, || {
        client.get("/health/ready").is_ok()
    })?;
    println!(
        "all lost: an empty PostgreSQL started in {:.1} s, the dump restored in {:.1} s, the api ready {:.1} s after its start",
        started.as_secs_f64(),
        (filled - started).as_secs_f64(),
        begun.elapsed().as_secs_f64(),
    );
    println!(
        "  {} tables and {} definitions, grants and policies equal the dump's; check-config passes",
        backup.rows.len(),
        backup.catalogue.len()
    );
    Ok(restored)
}

/// Fails unless everything that was acknowledged before the backup began is there, with its bytes.
fn require_contents(
    database: &Database<'_>,
    client: &Client,
    ledger: &Ledger,
    moment: &Moment,
) -> Result<()> {
    let Moment {
        backup,
        before,
        deleted,
        ..
    } = moment;
    let query = "SELECT metadata->>'number', id FROM sessions WHERE metadata ? 'number'";
    let stored = database.rows(query)?;
    for (number, id) in &before.sessions {
        let row = format!("{number}|{id}");
        let found = stored.iter().filter(|stored| **stored == row).count();
        ensure!(
            found == 1,
            "an acknowledged session is there {found} times: {row}"
        );
    }
    for (id, sha256) in &before.files {
        let is_there = backup
            .files
            .iter()
            .any(|file| (&file.0, &file.1) == (id, sha256));
        ensure!(is_there, "an acknowledged file is not in the dump: {id}");
    }
    let bytes_of = |id: &str| client.download(&ledger.at(&format!("files/{id}/content")));
    for (id, sha256) in backup.files.iter().filter(|(id, _)| id != deleted) {
        let found = digest(&bytes_of(id)?);
        ensure!(
            found == *sha256,
            "file {id} has other bytes: {found}, not {sha256}"
        );
    }
    let missing = bytes_of(deleted)
        .err()
        .context("a deleted file has its bytes")?;
    require_replaceable(client, ledger, deleted)?;
    let configurations = database.rows("SELECT digest, document FROM configurations")?;
    for row in &configurations {
        let (expected, document) = row.split_once('|').context("no document")?;
        let document: Value = serde_json::from_str(document)?;
        let found = digest(&serde_json_canonicalizer::to_vec(&document)?);
        ensure!(
            found == expected,
            "a configuration has another digest: {expected}"
        );
    }
    println!(
        "  {} acknowledged sessions are there; {} files have their SHA-256, {} configurations their digest; of the file that was deleted before the copy: {missing}",
        before.sessions.len(),
        backup.files.len() - 1,
        configurations.len(),
    );
    Ok(())
}

/// Uploads a file whose bytes the copy lacks once more: its record is in the dump, and must not stand for the bytes.
fn require_replaceable(client: &Client, ledger: &Ledger, id: &str) -> Result<()> {
    let file = client.get(&ledger.at(&format!("files/{id}")))?;
    let number = text(&file, "/name")?.trim_start_matches("soak-").parse()?;
    let bytes = content(number);
    let again = client.upload(&ledger.at("files?name=again"), &bytes)?;
    let path = format!("files/{}/content", text(&again, "/id")?);
    let found = digest(&client.download(&ledger.at(&path))?);
    ensure!(
        found == digest(&bytes),
        "a file that was uploaded again has other bytes"
    );
    Ok(())
}

/// Waits until each session that was live in the dump is over, or runs in a room of LiveKit; then stops those that run, each
/// of which has one agent.
fn require_agreement(
    database: &Database<'_>,
    running: &Running,
    ledger: &Ledger,
    moment: &Moment,
) -> Result<()> {
    let live = moment.backup.live.join("','");
    let query = format!(
        "SELECT id, room_name, state FROM sessions WHERE id IN ('{live}') AND state NOT IN ('ended', 'failed')"
    );
    let (begun, deadline) = (Instant::now(), patience(AGREED_WITHIN));
    let still = loop {
        let rooms = running.stack.rooms()?;
        let still = database.rows(&query)?;
        let agrees = |row: &String| {
            let columns: Vec<_> = row.split('|').collect();
            columns[2] == "running" && rooms.iter().any(|room| room == columns[1])
        };
        if still.iter().all(agrees) {
            break still;
        }
        ensure!(
            begun.elapsed() < deadline,
            "sessions that hang: {still:?}; rooms: {rooms:?}"
        );
        thread::sleep(Duration::from_millis(200));
    };
    let took = begun.elapsed().as_secs_f64();
    let client = Client::new(&running.base, &ledger.key);
    for row in &still {
        let id = row.split('|').next().unwrap_or_default();
        let runs = client.get(&ledger.at(&format!("sessions/{id}/agent-runs")))?;
        let runs = runs["data"].as_array().context("no runs")?;
        let joined = runs.iter().filter(|run| run["state"] == "joined").count();
        ensure!(joined == 1, "a session has {joined} agents: {runs:?}");
        stop(ledger, &client, id)?;
    }
    let over = moment.backup.live.len() - still.len();
    let lasting = moment
        .lasting
        .iter()
        .filter(|id| still.iter().any(|row| row.starts_with(*id)));
    ensure!(
        lasting.count() == moment.lasting.len(),
        "a session whose room is there is over: {still:?}"
    );
    let left = running.stack.rooms()?.len();
    println!(
        "  sessions that were live in the dump agree with their rooms after {took:.1} s: {over} are over, {} run and could be stopped; {left} rooms are left of sessions that began after the dump",
        still.len()
    );
    Ok(())
}

/// Works with what was restored: new sessions and files, and each effect once.
fn work_on(database: &Database<'_>, running: &Running, seeded: &Seeded) -> Result<()> {
    // New numbers, as those after the backup are used up for the clients that wrote them.
    let ledger = Ledger::new(&running.base, seeded, 1_000_000);
    Load::ALL.run(&ledger, || ledger.wait_for_progress())?;
    ledger.require_no_wrong()?;
    let done = database.require_jobs_done()?.as_secs_f64();
    println!(
        "  it works on: {}; all jobs done {done:.1} s after that",
        ledger.entries().summary()
    );
    Ok(())
}
