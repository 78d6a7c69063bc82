//! The clients that put a load on the service. Each repeats what fails, with its Idempotency-Key.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::ledger::{Ledger, Visit};
use crate::{process::patience, seed::Client};

/// Time within which a session has its agent, or is over, on an idle machine; a lease that has to end first is included.
const CHANGED_WITHIN: Duration = Duration::from_secs(90);
/// How long a visitor stays.
const STAY: Duration = Duration::from_secs(1);
/// Pause between two looks at a session.
const LOOK: Duration = Duration::from_millis(100);
const KIB: usize = 1024;

/// Number of clients of each kind.
pub struct Load {
    /// Create sessions.
    pub writers: usize,
    /// Store files.
    pub uploaders: usize,
    /// Start sessions, wait for the agent, and stop them.
    pub visitors: usize,
    /// List sessions.
    pub readers: usize,
    /// Pause after each of their requests.
    pub pause: Duration,
}

impl Load {
    /// Sessions created without a pause, and nothing else.
    pub const WRITES: Self = Self {
        writers: 4,
        uploaders: 0,
        visitors: 0,
        readers: 0,
        pause: Duration::ZERO,
    };
    /// Some of everything.
    pub const ALL: Self = Self {
        writers: 2,
        uploaders: 1,
        visitors: 2,
        readers: 1,
        pause: Duration::from_millis(100),
    };

    /// Runs `work` while the clients do theirs.
    pub fn run(&self, ledger: &Ledger, work: impl FnOnce() -> Result<()>) -> Result<()> {
        type Task = fn(&Ledger);
        let kinds: [(usize, Task); 4] = [
            (self.writers, create_session),
            (self.uploaders, store_file),
            (self.visitors, |ledger| visit(ledger, &ledger.client())),
            (self.readers, read),
        ];
        thread::scope(|scope| {
            for (count, task) in kinds {
                for _ in 0..count {
                    scope.spawn(move || {
                        while !ledger.is_over() {
                            task(ledger);
                            thread::sleep(self.pause);
                        }
                    });
                }
            }
            let outcome = work();
            ledger.close(outcome.is_err());
            outcome
        })
    }
}

fn session(ledger: &Ledger, number: usize, start: bool) -> Value {
    json!({
        "agent_id": ledger.agent, "variables": { "company": "Acme" }, "metadata": { "number": number }, "start": start,
    })
}

fn create_session(ledger: &Ledger) {
    let number = ledger.next();
    let (client, path) = (ledger.client(), ledger.at("sessions"));
    let body = session(ledger, number, false);
    let key = format!("soak-{number}");
    if let Some(made) = ledger.insist(|_| client.once(&path, &body, &key)) {
        ledger.entries().sessions.push((number, id(&made)));
    }
}

fn store_file(ledger: &Ledger) {
    let number = ledger.next();
    let bytes = content(number);
    let (client, key) = (ledger.client(), format!("soak-{number}"));
    let path = ledger.at(&format!("files?name=soak-{number}"));
    if let Some(made) = ledger.insist(|_| client.upload_once(&path, &*bytes, &key)) {
        ledger.entries().files.insert(id(&made), digest(&bytes));
    }
}

/// The content of a file: between 1 and 200 KiB, and no two are equal.
pub fn content(number: usize) -> Vec<u8> {
    let line = format!("This is file {number}.\n");
    let length = KIB * (1 + number * 37 % 200);
    line.into_bytes().into_iter().cycle().take(length).collect()
}

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn read(ledger: &Ledger) {
    let (client, path) = (ledger.client(), ledger.at("sessions?limit=20"));
    if ledger.insist(|_| client.try_get(&path)).is_some() {
        ledger.entries().reads += 1;
    }
}

/// Starts a session, waits for its agent, and stops it. The first attempt to start it is sent by `first`.
pub fn visit(ledger: &Ledger, first: &Client) {
    let number = ledger.next();
    let (client, path) = (ledger.client(), ledger.at("sessions"));
    let body = session(ledger, number, true);
    let key = format!("soak-{number}");
    let asked = Instant::now();
    let send = |attempt| {
        let client = if attempt == 0 { first } else { &client };
        client.once(&path, &body, &key)
    };
    let Some(made) = ledger.insist(send) else {
        return;
    };
    ledger.entries().sessions.push((number, id(&made)));
    let path = format!("{path}/{}", id(&made));
    if !becomes(ledger, &path, "running") {
        return;
    }
    let started = asked.elapsed();
    thread::sleep(STAY);
    let asked = Instant::now();
    let stop = format!("{path}/stop");
    let stopped = ledger.insist(|_| client.once(&stop, &json!({}), &key));
    if stopped.is_some() && becomes(ledger, &path, "ended") {
        let stopped = asked.elapsed();
        let visit = Visit { started, stopped };
        ledger.entries().visits.push(visit);
    }
}

/// Waits until the session is in this state; notes as wrong that it does not become so.
fn becomes(ledger: &Ledger, path: &str, state: &str) -> bool {
    let client = ledger.client();
    let deadline = Instant::now() + patience(CHANGED_WITHIN);
    loop {
        let Some(session) = ledger.insist(|_| client.try_get(path)) else {
            return false;
        };
        if session["state"] == state {
            return true;
        }
        let is_over = session["state"] == "ended" || session["state"] == "failed";
        if is_over || Instant::now() > deadline {
            let wrong = format!("a session is not {state}: {session}");
            ledger.entries().wrong.push(wrong);
            return false;
        }
        thread::sleep(LOOK);
    }
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap_or_default().to_owned()
}
