//! What live sessions need: processors, memory and connections while so many of them talk.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::json;

use super::{
    cpu::{Usage, memory_mib},
    live,
    subject::{Bench, UNLIMITED},
    webhook_load::{self, WebhookLoad},
};
use crate::{
    dev,
    process::interrupted,
    seed::{self, Client, Seeded},
    stack::Ports,
};

/// Sessions that are live at the same time.
const LIVE: [u32; 3] = [10, 100, 1_000];
/// How long a session lasts, until another takes its place.
const LENGTH: Duration = Duration::from_secs(180);
/// One turn is spoken and reported in this time.
const TURN: Duration = Duration::from_secs(6);
/// Webhook events of a session: of its room, of its agent and of a person.
const WEBHOOKS: u32 = 8;
const MEASURED: Duration = Duration::from_secs(60);

/// What so many live sessions took.
struct Talked {
    live: u32,
    used: Usage,
    /// Connections to PostgreSQL.
    connections: usize,
    /// How long each turn took to be stored.
    waits: Vec<Duration>,
}

/// One place of those that are live, with its session.
struct Place<'a> {
    number: u32,
    of: u32,
    seeded: &'a Seeded,
    tenant: Client,
    worker: Client,
    session: String,
}

/// Runs the benchmark, on servers of its own.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    let folder = bench.folder.join("sizing");
    std::fs::create_dir_all(&folder)?;
    let (_stand_in, livekit) = live::start_stand_in(bench, &folder)?;
    let settings = [
        ("PATCHBAY_KEY_LIMITS", UNLIMITED),
        ("PATCHBAY_TENANT_LIMITS", UNLIMITED),
        ("PATCHBAY_SESSION_LIMIT", "0"),
        ("LIVEKIT_URL", &*livekit),
    ];
    let mut running =
        dev::start_binary(bench.tools, &folder, &Ports::FREE, bench.binary, &settings)?;
    // It knows nothing of the stand-in's rooms.
    running.worker.stop();
    let seeded = seed::seed(&running.base, &running.operator_key, "sizing")?;
    println!(
        "\nlive sessions of {} s, a turn every {} s and {WEBHOOKS} webhook events of each:",
        LENGTH.as_secs(),
        TURN.as_secs()
    );
    for live in LIVE {
        let talked = while_they_talk(bench, &running, &seeded, live)?;
        print(bench, &running, talked);
    }
    Ok(())
}

/// Has so many sessions live for [`MEASURED`].
fn while_they_talk(
    bench: &Bench<'_>,
    running: &dev::Running,
    seeded: &Seeded,
    live: u32,
) -> Result<Talked> {
    let place = |number| Place::new(running, seeded, (number, live));
    let mut places = (0..live).map(place).collect::<Result<Vec<_>>>()?;
    let hosts = running.base.trim_start_matches("http://");
    let rate = (live * WEBHOOKS).div_ceil(LENGTH.as_secs().try_into()?);
    let rooms = webhook_load::rooms(bench, running, seeded)?;
    let rooms = rooms.iter().map(String::as_str);
    let webhooks = WebhookLoad::start(bench, running, hosts, (rate, MEASURED), rooms)?;
    let before = Usage::of(running);
    let waits = thread::scope(|scope| -> Result<_> {
        let start = |place| scope.spawn(move || Place::talk(place));
        let talks: Vec<_> = places.iter_mut().map(start).collect();
        let mut waits = Vec::new();
        for talk in talks {
            waits.extend(talk.join().expect("no panic")?);
        }
        Ok(waits)
    })?;
    let used = Usage::of(running).since(before);
    let connections =
        "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let connections = live::count(bench, running, connections)?;
    webhooks.figures()?;
    places.iter().try_for_each(Place::stop)?;
    Ok(Talked {
        live,
        used,
        connections,
        waits,
    })
}

fn print(bench: &Bench<'_>, running: &dev::Running, talked: Talked) {
    let Talked {
        live,
        used,
        connections,
        mut waits,
    } = talked;
    waits.sort();
    let row = format!("sizing: a minute of one of {live} live sessions");
    for (metric, micros) in [("api", used.api), ("postgres", used.postgres)] {
        bench
            .report
            .add(&row, metric, micros as f64 / f64::from(live));
    }
    let cores = |micros: u64| micros as f64 / 1e6 / MEASURED.as_secs_f64();
    println!(
        "  {live:5}: processors: api {:.2}, PostgreSQL {:.2}; memory of the api {} MiB at most; {connections} connections \
         to PostgreSQL; a turn was stored within {:.0} ms (99%)",
        cores(used.api),
        cores(used.postgres),
        memory_mib(running.api_pid()),
        waits[waits.len() * 99 / 100].as_secs_f64() * 1e3
    );
}

impl<'a> Place<'a> {
    fn new(running: &dev::Running, seeded: &'a Seeded, (number, of): (u32, u32)) -> Result<Self> {
        ensure!(!interrupted(), "interrupted");
        let mut place = Self {
            number,
            of,
            seeded,
            tenant: Client::new(&running.base, &seeded.key),
            worker: Client::new(&running.base, &running.worker_key),
            session: String::new(),
        };
        place.start()?;
        Ok(place)
    }

    fn path(&self, of: &str) -> String {
        format!("/api/tenants/{}/sessions{of}", self.seeded.tenant)
    }

    fn start(&mut self) -> Result<()> {
        let body = json!({ "agent_id": self.seeded.agent, "variables": { "company": "Acme" }, "start": true });
        let made = self.tenant.post(&self.path(""), &body)?;
        seed::text(&made, "/id")?.clone_into(&mut self.session);
        Ok(())
    }

    /// Reports turns for [`MEASURED`], in session after session; returns how long each report took.
    fn talk(&mut self) -> Result<Vec<Duration>> {
        let started = Instant::now();
        let share = |whole: Duration| whole * self.number / self.of;
        let mut ends = share(LENGTH);
        thread::sleep(share(TURN));
        let mut waits = Vec::new();
        while started.elapsed() < MEASURED {
            if started.elapsed() > ends {
                self.stop()?;
                self.start()?;
                ends += LENGTH;
            }
            let asked = Instant::now();
            self.report_turn(waits.len())?;
            waits.push(asked.elapsed());
            thread::sleep(TURN.saturating_sub(asked.elapsed()));
        }
        Ok(waits)
    }

    fn report_turn(&self, number: usize) -> Result<()> {
        let text = "I would like to move my appointment to the second week of the month.";
        let body = json!({ "turns": [
            { "id": number.to_string(), "role": "user", "text": text, "started_at": "2026-11-23T20:00:03Z" },
        ] });
        let path = self.path(&format!("/{}/transcript", self.session));
        self.worker.post(&path, &body).map(drop)
    }

    fn stop(&self) -> Result<()> {
        let usage = json!({ "id": "whole", "items": [
            { "kind": "llm", "provider": "openai", "model": "gpt-4o-mini", "input_tokens": 412, "output_tokens": 58 },
        ] });
        let at = self.path(&format!("/{}", self.session));
        self.worker.post(&format!("{at}/usage"), &usage)?;
        self.tenant.post(&format!("{at}/stop"), &json!({}))?;
        Ok(())
    }
}
