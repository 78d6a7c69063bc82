//! Jobs that a process has claimed when something happens to it, and how others take them over.

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::{checks::Database, fleet::Fleet, ledger::Ledger, load::visit};
use crate::process::{Server, interrupted, patience};

/// Sessions that are started together, at the process that is to lose their jobs.
const STARTS: usize = 6;
/// Time for the starts to be claimed. LiveKit is paused for as long at most, and a request to it takes 5 s at most.
const CLAIMED_WITHIN: Duration = Duration::from_secs(4);
/// Time after which a claim that is still held is one of the process that was lost: others are done long before, and a
/// lease is 30 s.
const LOST_AFTER: Duration = Duration::from_secs(15);
/// Time within which a lost job is taken over: a lease, and the time until another process looks for jobs.
const TAKEN_WITHIN: Duration = Duration::from_secs(40);
const CLAIMS: &str =
    "SELECT subject_id, claim FROM jobs WHERE kind = 'session' AND claim IS NOT NULL";

/// The jobs that were lost and taken over by other processes.
pub struct TakenOver {
    sessions: Vec<String>,
    after: Vec<Duration>,
}

impl fmt::Display for TakenOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Option<&Duration>| time.map_or(0.0, Duration::as_secs_f64);
        let (first, last) = (
            seconds(self.after.iter().min()),
            seconds(self.after.iter().max()),
        );
        let count = self.after.len();
        write!(
            f,
            "its {count} jobs were taken over after {first:.1} to {last:.1} s"
        )
    }
}

impl TakenOver {
    /// Number of jobs that were lost.
    pub const fn lost(&self) -> usize {
        self.sessions.len()
    }

    /// Digest of all rows of the sessions whose jobs were lost, once they are over.
    pub fn fingerprint(&self, database: &Database<'_>) -> Result<Vec<String>> {
        let ids = self.sessions.join("','");
        let live = format!("sessions WHERE id IN ('{ids}') AND state <> 'ended'");
        database.wait_for_none("sessions that hang", &live, TAKEN_WITHIN)?;
        let jobs = format!("jobs WHERE subject_id IN ('{ids}')");
        database.wait_for_none("jobs of sessions that are over", &jobs, TAKEN_WITHIN)?;
        let tables = [
            ("sessions", "id"),
            ("agent_runs", "session_id"),
            ("participants", "session_id"),
            ("session_events", "session_id"),
        ];
        let digest = |(table, column): (&str, &str)| {
            format!(
                "SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t WHERE {column} IN ('{ids}');"
            )
        };
        let trail = format!("SELECT count(*) FROM audit_events WHERE resource_id IN ('{ids}')");
        database.rows(&(tables.map(digest).join(" ") + &trail))
    }
}

/// Starts sessions while LiveKit is paused, so that their jobs are held, runs `fault` on the process, and lets LiveKit go on;
/// then runs `repair`. Returns the jobs that the process lost, once others have taken them over.
pub fn lose(
    fleet: &mut Fleet,
    index: usize,
    (ledger, database): (&Ledger, &Database<'_>),
    fault: impl FnOnce(&mut Server) -> Result<()>,
    repair: impl FnOnce(&mut Fleet) -> Result<()>,
) -> Result<TakenOver> {
    let first = ledger.client_of(&fleet.base(index));
    thread::scope(|scope| {
        fleet.livekit()?.signal(Signal::STOP)?;
        for _ in 0..STARTS {
            scope.spawn(|| visit(ledger, &first));
        }
        let claims = held(database);
        let since = Instant::now();
        let outcome = claims.and_then(|claims| fault(fleet.server(index)).map(|()| claims));
        fleet.livekit()?.signal(Signal::CONT)?;
        let taken = outcome.and_then(|claims| {
            repair(fleet)?;
            watch(database, claims, since)
        });
        // The visitors would wait for what will not happen.
        taken.inspect_err(|_| ledger.close(true))
    })
}

/// The claims that are held once all processes have taken what they can.
fn held(database: &Database<'_>) -> Result<Vec<String>> {
    let (begun, mut claims) = (Instant::now(), Vec::new());
    while claims.len() < STARTS && begun.elapsed() < CLAIMED_WITHIN {
        thread::sleep(Duration::from_millis(50));
        claims = database.rows(CLAIMS)?;
    }
    Ok(claims)
}

/// Waits until none of these claims is held any more.
fn watch(database: &Database<'_>, mut claims: Vec<String>, since: Instant) -> Result<TakenOver> {
    let mut taken = TakenOver {
        sessions: Vec::new(),
        after: Vec::new(),
    };
    while !claims.is_empty() {
        ensure!(!interrupted(), "interrupted");
        thread::sleep(Duration::from_millis(100));
        let held = database.rows(CLAIMS)?;
        let after = since.elapsed();
        let (still, gone): (Vec<_>, Vec<_>) =
            claims.into_iter().partition(|claim| held.contains(claim));
        for claim in gone.iter().filter(|_| after > LOST_AFTER) {
            let (session, _) = claim.split_once('|').context("a claim without a subject")?;
            taken.sessions.push(session.to_owned());
            taken.after.push(after);
        }
        claims = still;
        ensure!(
            after < patience(TAKEN_WITHIN),
            "jobs that no process takes over: {claims:?}"
        );
    }
    ensure!(!taken.after.is_empty(), "the process had no jobs to lose");
    Ok(taken)
}
