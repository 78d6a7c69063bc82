//! Snapshot of a session as it was loaded; the differences from it become timeline events.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    session::{RunState, SessionState},
    timeline::Facts,
};
use patchbay_persistence::{
    calls::Call, participants::Participant, runs::AgentRun, sessions::Session,
};

use crate::timeline::Timeline;

/// When a participant joined and left.
type Presence = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// State of a session aggregate at the time it was loaded.
pub(super) struct Snapshot {
    state: SessionState,
    runs: Vec<RunState>,
    participants: Vec<Presence>,
    /// The calls.
    pub calls: Vec<Call>,
}

impl Snapshot {
    /// Takes a snapshot.
    pub fn new(
        session: &Session,
        runs: &[AgentRun],
        participants: &[Participant],
        calls: &[Call],
    ) -> Self {
        let presence = |participant: &Participant| (participant.joined_at, participant.left_at);
        Self {
            state: session.state,
            runs: runs.iter().map(|run| run.state).collect(),
            participants: participants.iter().map(presence).collect(),
            calls: calls.to_vec(),
        }
    }

    /// Whether the participant at this index existed when the session was loaded.
    pub fn has_participant(&self, index: usize) -> bool {
        index < self.participants.len()
    }

    /// Adds an event if the session's state has changed.
    pub fn compare_session(&self, session: &Session, now: DateTime<Utc>, timeline: &mut Timeline) {
        if session.state == self.state {
            return;
        }
        let facts = Facts {
            reason: session.end_reason.clone(),
            ..Facts::default()
        };
        timeline.add(now, format!("session.{}", session.state.as_str()), facts);
    }

    /// Adds an event for each run that is new or whose state has changed.
    pub fn compare_runs(&self, runs: &[AgentRun], now: DateTime<Utc>, timeline: &mut Timeline) {
        for (index, run) in runs.iter().enumerate() {
            if self.runs.get(index) == Some(&run.state) {
                continue;
            }
            let facts = Facts {
                agent_run_id: Some(run.id),
                ..Facts::default()
            };
            timeline.add(now, format!("run.{}", run.state.as_str()), facts);
        }
    }

    /// Adds an event for each participant who was invited, joined, returned or left.
    pub fn compare_participants(
        &self,
        participants: &[Participant],
        now: DateTime<Utc>,
        timeline: &mut Timeline,
    ) {
        for (index, participant) in participants.iter().enumerate() {
            let Some((at, kind)) = self.participant_event(index, participant, now) else {
                continue;
            };
            let reason = participant.disconnect_reason.clone();
            let facts = Facts {
                reason: reason.filter(|_| kind == "participant.left"),
                participant: Some(participant.identity.clone()),
                ..Facts::default()
            };
            timeline.add(at, kind, facts);
        }
    }

    /// Time and kind of the event that a participant's change causes, if it has changed.
    fn participant_event(
        &self,
        index: usize,
        participant: &Participant,
        now: DateTime<Utc>,
    ) -> Option<(DateTime<Utc>, &'static str)> {
        let is_new = !self.has_participant(index);
        let before = self.participants.get(index).copied();
        let (joined, left) = before.unwrap_or_default();
        match (participant.joined_at, participant.left_at) {
            (None, None) if is_new => Some((now, "participant.invited")),
            (Some(at), None) if joined.is_none() => Some((at, "participant.joined")),
            (_, None) if left.is_some() => Some((now, "participant.returned")),
            (_, Some(at)) if left.is_none() => Some((at, "participant.left")),
            _ => None,
        }
    }

    /// Adds an event for each call that is new or whose state has changed.
    pub fn compare_calls(&self, calls: &[Call], now: DateTime<Utc>, timeline: &mut Timeline) {
        for (index, call) in calls.iter().enumerate() {
            let before = self.calls.get(index).map(|before| before.state);
            if before == Some(call.state) {
                continue;
            }
            let facts = Facts {
                reason: call.reason.clone(),
                call_id: Some(call.id),
                ..Facts::default()
            };
            timeline.add(now, format!("call.{}", call.state.as_str()), facts);
        }
    }
}
