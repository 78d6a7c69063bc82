//! What LiveKit's log says of its webhooks.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::checks::Database;

/// Events that Patchbay stores. It stores that a track was published, too, but only of agents, which the log does not tell.
const STORED: [&str; 5] = [
    "room_started",
    "room_finished",
    "participant_joined",
    "participant_left",
    "participant_connection_aborted",
];

/// Fails unless every event that was acknowledged to LiveKit is stored and applied; returns the number of events and that of
/// their deliveries.
pub fn require_applied(database: &Database<'_>, log: &Path) -> Result<(usize, usize)> {
    let log = fs::read_to_string(log)?;
    let delivered: Vec<_> = log.lines().filter_map(acknowledged).collect();
    let events: BTreeSet<_> = delivered.iter().collect();
    ensure!(!events.is_empty(), "LiveKit's log has no webhooks");
    let applied = database.rows("SELECT id FROM webhook_events WHERE applied_at IS NOT NULL")?;
    let applied: BTreeSet<_> = applied.iter().collect();
    let lost: Vec<_> = events.difference(&applied).collect();
    ensure!(
        lost.is_empty(),
        "{} acknowledged events were lost, such as {}",
        lost.len(),
        lost[0]
    );
    Ok((events.len(), delivered.len()))
}

/// The id of an event that was acknowledged, if the line says so.
fn acknowledged(line: &str) -> Option<String> {
    let (_, fields) = line.split_once("sent webhook\t")?;
    let fields: Value = serde_json::from_str(fields).ok()?;
    let is_ours = STORED.contains(&fields["event"].as_str()?) && fields["status"] == "200 OK";
    is_ours.then(|| fields["id"].as_str().map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_says_which_events_were_acknowledged() {
        let line = |event: &str, status: &str| {
            format!(
                "2026-11-28T05:28:41.177Z\tINFO\tlivekit.webhook\twebhook/x.go:334\tsent webhook\t{{\"event\": \"{event}\", \"id\": \"EV_1\", \"status\": \"{status}\"}}"
            )
        };
        assert_eq!(
            acknowledged(&line("room_started", "200 OK")),
            Some("EV_1".to_owned())
        );
        assert_eq!(
            acknowledged(&line("room_started", "503 Service Unavailable")),
            None
        );
        assert_eq!(acknowledged(&line("track_published", "200 OK")), None);
        assert_eq!(
            acknowledged("2026-11-28T05:28:41.177Z\tINFO\tlivekit\tstarting"),
            None
        );
    }
}
