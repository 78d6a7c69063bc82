//! What is seen of a session's room, and what that means for its participants and runs.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{
    AgentRunId,
    session::{RunState, SessionState},
    states::ParticipantKind,
};
use patchbay_persistence::{participants::Participant, runs::AgentRun};

use super::{aggregate::SessionAggregate, observed::ObservedParticipant};

/// The prefix of the identity under which the reference worker joins, before the run's id.
pub const AGENT_IDENTITY: &str = "agent-";

impl SessionAggregate {
    /// A participant is, or was, in the room since `at`.
    pub fn joined(&mut self, seen: &ObservedParticipant<'_>, at: DateTime<Utc>) {
        let index = self.participant(seen);
        let participant = &mut self.participants[index];
        participant.joined_at.get_or_insert(at);
        // The same stay again, later than its end: LiveKit was restarted and it came back.
        // Webhooks tell whole seconds, so anything closer may be the same moment.
        let returned = |left| at >= left + TimeDelta::seconds(1);
        if participant.left_at.is_some_and(returned) {
            participant.left_at = None;
            participant.disconnect_reason = None;
        }
        let left = participant.left_at;
        self.touched_participants.push(index);
        if seen.kind == ParticipantKind::Agent && !self.session.state.is_terminal() {
            self.agent_joined(seen, at, left);
        }
        self.telephone_seen(seen, at);
    }

    fn agent_joined(
        &mut self,
        seen: &ObservedParticipant<'_>,
        at: DateTime<Utc>,
        left: Option<DateTime<Utc>>,
    ) {
        let Some(index) = self.run_of(seen) else {
            return;
        };
        let other_joined =
            self.runs.iter().enumerate().any(|(other, run)| {
                other != index && run.is_primary && run.state == RunState::Joined
            });
        let run = &mut self.runs[index];
        let is_primary = run.is_primary;
        if (is_primary && other_joined) || matches!(run.state, RunState::Finished | RunState::Lost)
        {
            return;
        }
        run.state = RunState::Joined;
        run.participant_sid = Some(seen.sid.to_owned());
        run.participant_identity = Some(seen.identity.to_owned());
        run.joined_at.get_or_insert(at);
        run.missing_since = left;
        if is_primary && self.session.state == SessionState::Starting {
            self.session.dispatched_at.get_or_insert(at);
            self.session.last_error = None;
            self.enter(SessionState::Running, None);
        }
    }

    /// The run that an agent belongs to: named in its identity, known by its stay, or else the
    /// newest one that nobody has joined for.
    fn run_of(&self, seen: &ObservedParticipant<'_>) -> Option<usize> {
        let named = seen
            .identity
            .strip_prefix(AGENT_IDENTITY)
            .and_then(|id| id.parse::<AgentRunId>().ok());
        let position = |test: &dyn Fn(&AgentRun) -> bool| self.runs.iter().rposition(test);
        position(&|run| Some(run.id) == named)
            .or_else(|| position(&|run| run.participant_sid.as_deref() == Some(seen.sid)))
            .or_else(|| {
                position(&|run| {
                    run.state == RunState::Joined
                        && run.participant_identity.as_deref() == Some(seen.identity)
                })
            })
            .or_else(|| {
                position(&|run| {
                    run.is_primary && matches!(run.state, RunState::Pending | RunState::Dispatched)
                })
            })
    }

    /// Whether a participant is one too many: an agent of no run beside the primary one, or a telephone
    /// whose call is over.
    pub fn is_surplus(&self, seen: &ObservedParticipant<'_>) -> bool {
        let joined = |run: &&AgentRun| run.state == RunState::Joined;
        let mut joined = self.runs.iter().filter(joined);
        let is_its = |run: &AgentRun| run.participant_sid.as_deref() == Some(seen.sid);
        let agent = seen.kind == ParticipantKind::Agent
            && joined.clone().any(|run| run.is_primary)
            && !joined.any(is_its);
        agent || self.has_hung_up(seen)
    }

    /// Who is there, or may be any moment: participants, those invited since `since`, and further
    /// agents on their way.
    pub fn expected(&self, since: DateTime<Utc>) -> usize {
        let people = self.participants.iter().filter(|p| match p.joined_at {
            Some(_) => p.left_at.is_none(),
            None => p.invited_at.is_some_and(|at| at > since),
        });
        let coming = self.runs.iter().filter(|run| {
            !run.is_primary && matches!(run.state, RunState::Pending | RunState::Dispatched)
        });
        people.count() + coming.count() + self.dialing()
    }

    /// A participant left at `at`, in LiveKit's words for `reason`.
    pub fn left(&mut self, seen: &ObservedParticipant<'_>, at: DateTime<Utc>, reason: &str) {
        let index = self.participant(seen);
        let participant = &mut self.participants[index];
        participant.left_at.get_or_insert(at);
        participant
            .disconnect_reason
            .get_or_insert_with(|| reason.to_owned());
        self.touched_participants.push(index);
        let run = self
            .runs
            .iter_mut()
            .find(|run| run.participant_sid.as_deref() == Some(seen.sid));
        if let Some(run) = run {
            run.missing_since.get_or_insert(at);
            run.left_at.get_or_insert(at);
        }
        self.telephone_left(seen, at, reason);
    }

    /// What LiveKit shows at `at`: everyone who is in the room.
    pub fn observed(&mut self, present: &[ObservedParticipant<'_>], at: DateTime<Utc>) {
        for seen in present {
            self.joined(seen, at);
        }
        let is_present = |sid: &str| present.iter().any(|seen| seen.sid == sid);
        // One who joined a moment ago may have come after the list was made.
        let settled = at - TimeDelta::seconds(2);
        for (index, participant) in self.participants.iter_mut().enumerate() {
            let old = participant.joined_at.is_some_and(|joined| joined < settled);
            if participant.left_at.is_none()
                && old
                && !is_present(participant.sid.as_deref().unwrap_or_default())
            {
                participant.left_at = Some(at);
                self.touched_participants.push(index);
            }
        }
        for run in &mut self.runs {
            if run.state != RunState::Joined {
                continue;
            }
            let sid = run.participant_sid.as_deref().unwrap_or_default();
            if is_present(sid) {
                run.missing_since = None;
                run.left_at = None;
            } else {
                run.missing_since.get_or_insert(at);
            }
        }
        self.telephones_missed(present, at);
    }

    fn participant(&mut self, seen: &ObservedParticipant<'_>) -> usize {
        let stay = |p: &Participant| p.sid.as_deref() == Some(seen.sid);
        if let Some(index) = self.participants.iter().position(stay) {
            return index;
        }
        // Somebody who was expected has come.
        let expected = |p: &Participant| p.sid.is_none() && p.identity == seen.identity;
        if let Some(index) = self.participants.iter().position(expected) {
            let participant = &mut self.participants[index];
            participant.sid = Some(seen.sid.to_owned());
            participant.name = seen.name.to_owned();
            participant.kind = seen.kind;
            return index;
        }
        self.participants.push(Participant {
            tenant_id: self.session.tenant_id,
            id: self.clock.new_id(),
            session_id: self.session.id,
            sid: Some(seen.sid.to_owned()),
            identity: seen.identity.to_owned(),
            name: seen.name.to_owned(),
            kind: seen.kind,
            joined_at: None,
            left_at: None,
            disconnect_reason: None,
            invited_at: None,
        });
        self.participants.len() - 1
    }
}
