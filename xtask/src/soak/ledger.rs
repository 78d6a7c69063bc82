//! What clients have sent while something failed, and what was acknowledged to them.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{
    process::{interrupted, patience},
    seed::{Client, Response, Seeded},
};

/// Time within which a write is acknowledged, however often it has to be repeated. A start whose process has died is in
/// flight, as far as the others know, for the longest that a request may take: half a minute.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(90);
/// Time that a client waits for a response: longer than the service may take.
const RESPONSE_WITHIN: Duration = Duration::from_secs(40);
/// Time within which each kind of client has done something.
const PROGRESS_WITHIN: Duration = Duration::from_secs(60);
/// Pause before a request is repeated.
const PAUSE: Duration = Duration::from_millis(20);

/// The clients' common book.
pub struct Ledger {
    base: String,
    /// The tenant's key.
    pub key: String,
    /// Path of the tenant.
    path: String,
    /// The agent whose sessions are created.
    pub agent: String,
    next: AtomicUsize,
    is_over: AtomicBool,
    has_failed: AtomicBool,
    entries: Mutex<Entries>,
}

/// What has happened so far.
#[derive(Clone, Default)]
pub struct Entries {
    /// Number and id of each session that was created and acknowledged.
    pub sessions: Vec<(usize, String)>,
    /// Id and SHA-256 of each file that was stored and acknowledged.
    pub files: HashMap<String, String>,
    /// Sessions that were started, had their agent, and were stopped.
    pub visits: Vec<Visit>,
    /// Reads.
    pub reads: usize,
    /// Responses that no client should get.
    pub wrong: Vec<String>,
    /// Requests that were repeated because the service was not available (503 with Retry-After).
    pub unavailable: usize,
    /// Requests that were repeated because the connection broke.
    pub broken: usize,
    /// Requests that were repeated because an earlier one with the key was in flight.
    pub in_flight: usize,
}

/// A session that was started, had its agent, and was stopped.
#[derive(Clone)]
pub struct Visit {
    /// Time from the request to the agent's arrival.
    pub started: Duration,
    /// Time from the request to the end.
    pub stopped: Duration,
}

impl Ledger {
    /// An empty ledger of clients of this tenant. Their writes are numbered from `first` on.
    pub fn new(base: &str, seeded: &Seeded, first: usize) -> Self {
        Self {
            base: base.to_owned(),
            key: seeded.key.clone(),
            path: format!("/api/tenants/{}", seeded.tenant),
            agent: seeded.agent.clone(),
            next: AtomicUsize::new(first),
            is_over: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            entries: Mutex::default(),
        }
    }

    /// A client with a connection for each request.
    pub fn client(&self) -> Client {
        self.client_of(&self.base)
    }

    /// The same of the process at `base`, past the balancer.
    pub fn client_of(&self, base: &str) -> Client {
        Client::unpooled(base, &self.key, RESPONSE_WITHIN)
    }

    /// A path of the tenant.
    pub fn at(&self, rest: &str) -> String {
        format!("{}/{rest}", self.path)
    }

    /// The number of the next write.
    pub fn next(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether clients are to finish what they have begun and end.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Tells the clients to end: at once if something has failed, otherwise when their last write is acknowledged.
    pub fn close(&self, has_failed: bool) {
        self.has_failed.store(has_failed, Ordering::Relaxed);
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// What has happened so far.
    pub fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request until it is acknowledged; `send` is given the number of the attempt. `None` if it is refused, or
    /// not acknowledged in time.
    pub fn insist(&self, mut send: impl FnMut(usize) -> Result<Response>) -> Option<Value> {
        let deadline = Instant::now() + patience(ACKNOWLEDGED_WITHIN);
        for attempt in 0.. {
            if self.has_failed.load(Ordering::Relaxed) {
                return None;
            }
            let outcome = send(attempt);
            let mut entries = self.entries();
            let why = match outcome {
                Ok(response) if (200..300).contains(&response.status) => {
                    return Some(response.body);
                }
                Ok(response) if response.status == 503 && response.retry_after.is_some() => {
                    entries.unavailable += 1;
                    "503".to_owned()
                }
                Ok(response) if response.body["code"] == "idempotency_in_flight" => {
                    entries.in_flight += 1;
                    "in flight".to_owned()
                }
                Ok(Response { status, body, .. }) => {
                    entries.wrong.push(format!("{status} {body}"));
                    return None;
                }
                // The outcome is unknown, and the key makes a repetition safe.
                Err(error) => {
                    entries.broken += 1;
                    error.to_string()
                }
            };
            if Instant::now() > deadline {
                entries
                    .wrong
                    .push(format!("not acknowledged in {attempt} attempts: {why}"));
                return None;
            }
            drop(entries);
            thread::sleep(PAUSE);
        }
        None
    }

    /// Waits until each kind of client has done something three more times.
    pub fn wait_for_progress(&self) -> Result<()> {
        let counts = || {
            let entries = self.entries();
            let Entries {
                sessions,
                files,
                visits,
                reads,
                ..
            } = &*entries;
            [sessions.len(), files.len(), visits.len(), *reads]
        };
        let (before, deadline) = (counts(), Instant::now() + patience(PROGRESS_WITHIN));
        while counts()
            .iter()
            .zip(before)
            .any(|(now, before)| *now < before + 3)
        {
            ensure!(!interrupted(), "interrupted");
            self.require_no_wrong()?;
            let is_late = Instant::now() > deadline;
            ensure!(
                !is_late,
                "clients get nowhere: {before:?}, then {:?}",
                counts()
            );
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Fails if a client got a response that it should not get.
    pub fn require_no_wrong(&self) -> Result<()> {
        let wrong = &self.entries().wrong;
        let example = wrong.first().map_or("", String::as_str);
        ensure!(
            wrong.is_empty(),
            "{} wrong responses, such as {example}",
            wrong.len()
        );
        Ok(())
    }
}

impl Entries {
    /// The figures in words.
    pub fn summary(&self) -> String {
        let Self {
            sessions,
            files,
            visits,
            reads,
            unavailable,
            broken,
            in_flight,
            ..
        } = self;
        let (sessions, files, visits) = (sessions.len(), files.len(), visits.len());
        let mut words = format!("{sessions} sessions created");
        for (count, what) in [
            (files, "files stored"),
            (visits, "sessions started and stopped"),
            (*reads, "reads"),
        ] {
            if count > 0 {
                words += &format!(", {count} {what}");
            }
        }
        let repeated = unavailable + broken + in_flight;
        words
            + &format!(
                "; {repeated} requests repeated ({broken} broken connections, {unavailable} times 503, {in_flight} times in flight)"
            )
    }

    /// Prints the figures of this time of load.
    pub fn print(&self, load: Duration) {
        println!("  {:.0} s of load: {}", load.as_secs_f64(), self.summary());
        let (started, longest) = self.times(|visit| visit.started);
        let (stopped, longest_stop) = self.times(|visit| visit.stopped);
        println!(
            "  a session had its agent after {started:.1} s at the median ({longest:.1} s at most), and was over after {stopped:.1} s ({longest_stop:.1} s)"
        );
    }

    /// The median and the maximum of a time of the visits, in seconds.
    fn times(&self, time: impl Fn(&Visit) -> Duration) -> (f64, f64) {
        let mut all: Vec<_> = self.visits.iter().map(time).collect();
        all.sort();
        let seconds = |index: usize| all.get(index).map_or(0.0, Duration::as_secs_f64);
        (seconds(all.len() / 2), seconds(all.len().saturating_sub(1)))
    }
}
