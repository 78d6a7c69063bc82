//! Applies observations of a session's room to its participants and agent runs.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{
    AgentRunId,
    session::{RunState, SessionState},
    states::ParticipantKind,
};
use patchbay_persistence::{participants::Participant, runs::AgentRun};

use super::{aggregate::SessionAggregate, observed::ObservedParticipant};

/// Prefix of the reference worker's identity; the id of the agent run follows it.
pub const AGENT_IDENTITY: &str = "agent-";

impl SessionAggregate {
    /// Records that a participant is, or was, in the room since `at`.
    pub fn record_joined(&mut self, observed: &ObservedParticipant<'_>, at: DateTime<Utc>) {
        let index = self.find_or_add_participant(observed);
        let participant = &mut self.participants[index];
        // LiveKit may report that it left before it reports that it joined.
        let joined_at = participant.left_at.map_or(at, |left| left.min(at));
        participant.joined_at.get_or_insert(joined_at);
        // The same participant sid after it had left: LiveKit was restarted and the participant reconnected.
        // Webhook times are whole seconds, so a shorter difference may be the same moment.
        let returned = |left| at >= left + TimeDelta::seconds(1);
        if participant.left_at.is_some_and(returned) {
            participant.left_at = None;
            participant.disconnect_reason = None;
        }
        let left = participant.left_at;
        if observed.kind == ParticipantKind::Agent && !self.session.state.is_terminal() {
            self.record_agent_joined(observed, at, left);
        }
        self.record_sip_participant_present(observed, at);
    }

    fn record_agent_joined(
        &mut self,
        observed: &ObservedParticipant<'_>,
        at: DateTime<Utc>,
        left: Option<DateTime<Utc>>,
    ) {
        let Some(index) = self.find_run(observed) else {
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
        run.error_detail = None;
        run.participant_sid = Some(observed.sid.to_owned());
        run.participant_identity = Some(observed.identity.to_owned());
        run.joined_at.get_or_insert(at);
        run.missing_since = left;
        if is_primary && self.session.state == SessionState::Starting {
            self.session.dispatched_at.get_or_insert(at);
            self.session.last_error = None;
            self.enter(SessionState::Running, None);
        }
    }

    /// Finds the run of an agent: by the run id in its identity, by its participant sid, by its identity, or
    /// else the newest primary run whose agent has not joined yet.
    fn find_run(&self, observed: &ObservedParticipant<'_>) -> Option<usize> {
        let named = observed
            .identity
            .strip_prefix(AGENT_IDENTITY)
            .and_then(|id| id.parse::<AgentRunId>().ok());
        let position = |test: &dyn Fn(&AgentRun) -> bool| self.runs.iter().rposition(test);
        position(&|run| Some(run.id) == named)
            .or_else(|| position(&|run| run.participant_sid.as_deref() == Some(observed.sid)))
            .or_else(|| {
                position(&|run| {
                    run.state == RunState::Joined
                        && run.participant_identity.as_deref() == Some(observed.identity)
                })
            })
            .or_else(|| {
                position(&|run| {
                    run.is_primary && matches!(run.state, RunState::Pending | RunState::Dispatched)
                })
            })
    }

    /// Whether a participant is to be removed from the room: an agent without a run while the primary agent is
    /// present, or the SIP participant of a call that is over.
    pub fn is_surplus(&self, observed: &ObservedParticipant<'_>) -> bool {
        let joined = |run: &&AgentRun| run.state == RunState::Joined;
        let mut joined = self.runs.iter().filter(joined);
        let is_own_run = |run: &AgentRun| run.participant_sid.as_deref() == Some(observed.sid);
        let is_surplus_agent = observed.kind == ParticipantKind::Agent
            && joined.clone().any(|run| run.is_primary)
            && !joined.any(is_own_run);
        is_surplus_agent || self.is_of_ended_call(observed)
    }

    /// Counts the participants who are present or expected: those in the room, those invited since `since`,
    /// further agents that are being dispatched, and calls that are being dialled.
    pub fn count_expected(&self, since: DateTime<Utc>) -> usize {
        let participants = self.participants.iter().filter(|p| match p.joined_at {
            Some(_) => p.left_at.is_none(),
            None => p.invited_at.is_some_and(|at| at > since),
        });
        let pending_runs = self.runs.iter().filter(|run| {
            !run.is_primary && matches!(run.state, RunState::Pending | RunState::Dispatched)
        });
        participants.count() + pending_runs.count() + self.count_dialing()
    }

    /// Records that a participant left at `at`, with LiveKit's disconnect reason.
    pub fn record_left(
        &mut self,
        observed: &ObservedParticipant<'_>,
        at: DateTime<Utc>,
        reason: &str,
    ) {
        let index = self.find_or_add_participant(observed);
        let participant = &mut self.participants[index];
        participant.left_at.get_or_insert(at);
        participant
            .disconnect_reason
            .get_or_insert_with(|| reason.to_owned());
        let run = self
            .runs
            .iter_mut()
            .find(|run| run.participant_sid.as_deref() == Some(observed.sid));
        if let Some(run) = run {
            run.missing_since.get_or_insert(at);
            run.left_at.get_or_insert(at);
        }
        self.record_sip_participant_left(observed, at, reason);
    }

    /// Records the complete list of participants who are in the room at `at`.
    pub fn record_present(&mut self, present: &[ObservedParticipant<'_>], at: DateTime<Utc>) {
        for observed in present {
            self.record_joined(observed, at);
        }
        let is_present = |sid: &str| present.iter().any(|observed| observed.sid == sid);
        // A participant who joined in the last two seconds may have done so after LiveKit made the list.
        let joined_before = at - TimeDelta::seconds(2);
        for participant in &mut self.participants {
            let is_listed_if_present = participant
                .joined_at
                .is_some_and(|joined| joined < joined_before);
            if participant.left_at.is_none()
                && is_listed_if_present
                && !is_present(participant.sid.as_deref().unwrap_or_default())
            {
                participant.left_at = Some(at);
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
        self.record_missing_calls(present, at);
    }

    /// Returns the index of the observed participant, which is added if it is new.
    fn find_or_add_participant(&mut self, observed: &ObservedParticipant<'_>) -> usize {
        let has_sid = |p: &Participant| p.sid.as_deref() == Some(observed.sid);
        if let Some(index) = self.participants.iter().position(has_sid) {
            return index;
        }
        // An invited participant has no sid until it joins.
        let is_invited = |p: &Participant| p.sid.is_none() && p.identity == observed.identity;
        if let Some(index) = self.participants.iter().position(is_invited) {
            let participant = &mut self.participants[index];
            participant.sid = Some(observed.sid.to_owned());
            participant.name = observed.name.to_owned();
            participant.kind = observed.kind;
            return index;
        }
        self.participants.push(Participant {
            tenant_id: self.session.tenant_id,
            id: self.clock.new_id(),
            session_id: self.session.id,
            sid: Some(observed.sid.to_owned()),
            identity: observed.identity.to_owned(),
            name: observed.name.to_owned(),
            kind: observed.kind,
            joined_at: None,
            left_at: None,
            disconnect_reason: None,
            invited_at: None,
        });
        self.participants.len() - 1
    }
}
