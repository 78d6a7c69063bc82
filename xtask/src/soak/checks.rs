//! What must hold in the database after a drill.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::ledger::Ledger;
use crate::{process::patience, tools::Tools};

/// Time within which all jobs are done once the load has ended: a lease that has to end first, and an interval in which
/// sessions are compared with their rooms.
const DONE_WITHIN: Duration = Duration::from_secs(75);

/// Rows that are not there with what was written in the same transaction.
const HALF: [(&str, &str); 4] = [
    (
        "sessions without a room",
        "sessions s WHERE NOT EXISTS (SELECT 1 FROM rooms r WHERE r.session_id = s.id)",
    ),
    (
        "sessions without a configuration",
        "sessions s WHERE NOT EXISTS (
        SELECT 1 FROM configurations c WHERE c.digest = s.configuration_digest)",
    ),
    (
        "sessions without a timeline",
        "sessions s WHERE NOT EXISTS (
        SELECT 1 FROM session_events e WHERE e.session_id = s.id AND e.kind = 'session.created')",
    ),
    (
        "files without an object",
        "files f JOIN objects o ON o.id = f.object_id WHERE o.state <> 'stored'",
    ),
];

/// Changes without exactly one audit event.
const AUDIT: [(&str, &str); 3] = [
    ("sessions whose changes are not in the audit trail once each", "sessions s JOIN LATERAL (
        SELECT ARRAY['session.created']
            || CASE WHEN starting_at IS NOT NULL THEN ARRAY['session.starting'] END
            || CASE WHEN running_at IS NOT NULL THEN ARRAY['session.running'] END
            || CASE WHEN stopping_at IS NOT NULL THEN ARRAY['session.stopping'] END
            || CASE WHEN ended_at IS NOT NULL THEN ARRAY['session.' || state] END AS expected
     ) x ON true WHERE (SELECT array_agg(e ORDER BY e) FROM unnest(expected) e) IS DISTINCT FROM (
        SELECT array_agg(a.action ORDER BY a.action) FROM audit_events a
        WHERE a.resource_kind = 'session' AND a.resource_id = s.id::text)"),
    ("files that are not in the audit trail once", "files f WHERE 1 <> (
        SELECT count(*) FROM audit_events a
        WHERE a.resource_kind = 'file' AND a.resource_id = f.id::text AND a.action = 'file.created')"),
    ("audit events of sessions that do not exist", "audit_events a WHERE a.resource_kind = 'session'
        AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id::text = a.resource_id)"),
];

/// Effects that a session that was started has had never, or twice.
const EFFECTS: [(&str, &str); 6] = [
    ("sessions that hang", "sessions WHERE state NOT IN ('created', 'ended')"),
    ("sessions with another number of agent runs than one", "sessions s WHERE s.starting_at IS NOT NULL
        AND 1 <> (SELECT count(*) FROM agent_runs r WHERE r.session_id = s.id)"),
    ("sessions with another number of agents than one", "sessions s WHERE s.starting_at IS NOT NULL
        AND 1 <> (SELECT count(*) FROM participants p WHERE p.session_id = s.id AND p.kind = 'agent')"),
    ("events that are twice on a timeline", "(
        SELECT session_id, kind FROM session_events GROUP BY session_id, kind HAVING count(*) > 1) x"),
    ("webhook events that were not applied", "webhook_events WHERE applied_at IS NULL"),
    ("sessions whose room did not open once, have its agent once and close once", "sessions s
        WHERE s.starting_at IS NOT NULL AND '{participant_joined,room_finished,room_started}' IS DISTINCT FROM (
            SELECT array_agg(w.payload->>'event' ORDER BY w.payload->>'event') FROM webhook_events w
            WHERE w.room = 'sha256:' || encode(sha256(convert_to(s.room_name, 'UTF8')), 'hex')
              AND w.payload->>'event' IN ('room_started', 'room_finished', 'participant_joined'))"),
];

/// Jobs that are not done: those that wait for a time, such as the end of an upload, are in order.
const JOBS: &str =
    "jobs WHERE dead_at IS NOT NULL OR claim IS NOT NULL OR run_at < now() - interval '10 s'
    OR tenant_id IS NOT NULL AND run_at < now()";

/// The database, as the owner, and the tenant whose rows are looked at.
pub struct Database<'a> {
    /// The installed servers.
    pub tools: &'a Tools,
    /// URL of the owner role.
    pub url: &'a str,
    /// The tenant.
    pub tenant: &'a str,
}

impl Database<'_> {
    /// The rows of a query, each as its columns with `|` between them.
    pub fn rows(&self, query: &str) -> Result<Vec<String>> {
        let sql = format!("SET app.tenant_id = '{}'; {query}", self.tenant);
        let output = self.tools.psql(self.url, &sql)?;
        Ok(output.lines().map(str::to_owned).collect())
    }

    /// The number of rows of this FROM clause.
    pub fn count(&self, from: &str) -> Result<usize> {
        let rows = self.rows(&format!("SELECT count(*) FROM {from}"))?;
        Ok(rows.first().context("no count")?.parse()?)
    }

    /// Waits until there is no row of this FROM clause; returns how long that took.
    pub fn wait_for_none(&self, what: &str, from: &str, usual: Duration) -> Result<Duration> {
        let (started, patience) = (Instant::now(), patience(usual));
        while self.count(from)? > 0 {
            let rows = || self.rows(&format!("SELECT * FROM {from} LIMIT 5"));
            ensure!(
                started.elapsed() < patience,
                "there are {what} after {patience:?}: {:?}",
                rows()?
            );
            thread::sleep(Duration::from_millis(200));
        }
        Ok(started.elapsed())
    }

    fn require_none(&self, faults: &[(&str, &str)]) -> Result<()> {
        for (what, from) in faults {
            let found = self.count(from)?;
            let rows = || self.rows(&format!("SELECT * FROM {from} LIMIT 3"));
            ensure!(found == 0, "{found} {what}, such as {:?}", rows()?);
        }
        Ok(())
    }

    /// Fails unless each acknowledged write is there once, whole and with its audit event, and nothing else is.
    pub fn require_acknowledged(&self, ledger: &Ledger) -> Result<()> {
        ledger.require_no_wrong()?;
        let entries = ledger.entries().clone();
        self.require_none(&HALF)?;
        self.require_none(&AUDIT)?;
        let query = "SELECT metadata->>'number', id FROM sessions WHERE metadata ? 'number'";
        let acknowledged = entries
            .sessions
            .iter()
            .map(|(number, id)| format!("{number}|{id}"));
        require_once("sessions", &self.rows(query)?, acknowledged.collect())?;
        let query = "SELECT id, encode(sha256, 'hex') FROM files";
        let acknowledged = entries
            .files
            .iter()
            .map(|(id, digest)| format!("{id}|{digest}"));
        require_once("files", &self.rows(query)?, acknowledged.collect())
    }

    /// Waits until all jobs are done, none of them dead; returns how long it took.
    pub fn require_jobs_done(&self) -> Result<Duration> {
        self.wait_for_none("jobs that are not done", JOBS, DONE_WITHIN)
    }

    /// Waits until all jobs are done and LiveKit's last events applied, and fails unless each effect of each session that
    /// was started happened once; returns how long the jobs took.
    pub fn require_effects_once(&self) -> Result<Duration> {
        let took = self.require_jobs_done()?;
        for (what, from) in EFFECTS {
            self.wait_for_none(what, from, DONE_WITHIN)?;
        }
        Ok(took)
    }
}

/// Fails unless what is stored is what was acknowledged, each once.
fn require_once(what: &str, stored: &[String], acknowledged: Vec<String>) -> Result<()> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for row in stored {
        *counts.entry(row).or_default() += 1;
    }
    let lost = acknowledged
        .iter()
        .filter(|row| counts.get(&***row) != Some(&1));
    let (lost, count) = (lost.count(), acknowledged.len());
    ensure!(lost == 0, "{lost} of {count} acknowledged {what} were lost");
    let stored = stored.len();
    ensure!(
        stored == count,
        "{stored} {what} for {count} acknowledged ones: something happened twice"
    );
    Ok(())
}
