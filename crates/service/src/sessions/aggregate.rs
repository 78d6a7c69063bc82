//! The session aggregate: the session's row, agent runs, participants and calls, locked and stored together.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{
    AgentRunId, Clock, SessionId, UserId,
    call::{CallEvent, CallState},
    session::{RunState, RunView, SessionState, View, closed_reason},
    states::ParticipantKind,
};
use patchbay_persistence::{
    TenantTx,
    calls::{self, Call},
    participants::{self, Participant},
    runs::{self, AgentRun},
    sessions::{self, Session},
    users,
};
use serde_json::json;

use super::snapshot::Snapshot;
use crate::{
    Error, Result, UnitOfWork, audit::Event, measurement::Measurement, timeline::Timeline,
};

/// LiveKit's disconnect reasons after which the participant may still come back.
const TRANSIENT_REASONS: [&str; 7] = [
    "",
    "UNKNOWN_REASON",
    "SERVER_SHUTDOWN",
    "MIGRATION",
    "STATE_MISMATCH",
    "ROOM_DELETED",
    "ROOM_CLOSED",
];

/// A session with its runs, participants and calls. The session's row is locked.
pub struct SessionAggregate {
    /// The session.
    pub session: Session,
    /// Its agent runs, oldest first.
    pub runs: Vec<AgentRun>,
    /// Its participants.
    pub participants: Vec<Participant>,
    /// Its phone calls, oldest first.
    pub calls: Vec<Call>,
    pub(crate) clock: Clock,
    pub(crate) events: Vec<Event>,
    before: Snapshot,
}

/// Whether this participant is not an agent, and has been in the room rather than only invited.
fn is_visitor(participant: &Participant) -> bool {
    let present_at = participant.joined_at.or(participant.left_at);
    participant.kind != ParticipantKind::Agent && present_at.is_some()
}

impl SessionAggregate {
    /// Locks and loads a session; `None` if it does not exist.
    pub async fn load(unit: &mut UnitOfWork, id: SessionId) -> Result<Option<Self>> {
        let Some(session) = sessions::lock(unit, id).await? else {
            return Ok(None);
        };
        let runs = runs::of_session(unit, id).await?;
        let participants = participants::of_session(unit, id).await?;
        let calls = calls::of_session(unit, id).await?;
        Ok(Some(Self {
            before: Snapshot::new(&session, &runs, &participants, &calls),
            runs,
            participants,
            calls,
            session,
            clock: unit.clock().clone(),
            events: Vec::new(),
        }))
    }

    /// Locks and loads a session; `not_found` if it does not exist.
    pub async fn require(unit: &mut UnitOfWork, id: SessionId) -> Result<Self> {
        Self::load(unit, id).await?.ok_or_else(Error::not_found)
    }

    /// Stores what has changed, with its audit events and timeline events.
    pub async fn save(mut self, unit: &mut UnitOfWork) -> Result<Session> {
        self.clear_erased_names(unit).await?;
        unit.append(self.timeline()).await?;
        unit.measure(self.measurements());
        self.before.store_session(unit, &self.session).await?;
        self.before.store_runs(unit, &self.runs).await?;
        self.before
            .store_participants(unit, &self.participants)
            .await?;
        self.before.store_calls(unit, &self.calls).await?;
        for event in self.events {
            unit.audit(event).await?;
        }
        Ok(self.session)
    }

    /// The timeline events of all changes since the aggregate was loaded.
    fn timeline(&self) -> Timeline {
        let (now, before) = (self.clock.now(), &self.before);
        let mut timeline = Timeline::new(self.session.id);
        before.compare_session(&self.session, now, &mut timeline);
        before.compare_runs(&self.runs, now, &mut timeline);
        before.compare_participants(&self.participants, now, &mut timeline);
        before.compare_calls(&self.calls, now, &mut timeline);
        timeline
    }

    /// What has happened since the aggregate was loaded, for metrics.
    fn measurements(&self) -> Vec<Measurement> {
        let mut found = Vec::new();
        found.extend(self.before.measure_session(&self.session));
        found.extend(self.before.measure_runs(&self.session, &self.runs));
        found.extend(self.before.measure_calls(&self.calls));
        found
    }

    /// Clears the names of participants whose users have been erased in the meantime.
    async fn clear_erased_names(&mut self, tx: &mut TenantTx) -> Result<()> {
        let participants = self.participants.iter().enumerate();
        let changed = participants.filter(|(index, p)| self.before.is_changed(*index, p));
        let named = changed.filter(|(_, participant)| !participant.name.is_empty());
        let users = named.filter_map(|(_, p)| UserId::of_identity(&p.identity));
        let users: Vec<_> = users.collect();
        if users.is_empty() {
            return Ok(());
        }
        let erased = users::erased_among(tx, users).await?;
        for participant in &mut self.participants {
            let user = UserId::of_identity(&participant.identity);
            if user.is_some_and(|user| erased.contains(&user)) {
                participant.name.clear();
            }
        }
        Ok(())
    }

    /// The state from which the next step is derived.
    pub fn view(&self) -> View {
        let session = &self.session;
        View {
            state: session.state,
            starting_at: session.starting_at,
            dispatched_at: session.dispatched_at,
            running_at: session.running_at,
            room_missing_since: session.room_missing_since,
            room_deleted: session.room_deleted_at.is_some(),
            visited: self.participants.iter().any(is_visitor),
            max_duration: TimeDelta::seconds(session.max_duration_seconds.into()),
            runs: self
                .runs
                .iter()
                .filter(|run| run.is_primary)
                .map(|run| self.run_view(run))
                .collect(),
            further: self
                .runs
                .iter()
                .filter(|run| !run.is_primary)
                .map(|run| self.run_view(run))
                .collect(),
            calls: self.call_views(),
        }
    }

    fn run_view(&self, run: &AgentRun) -> RunView {
        let participant = self
            .participants
            .iter()
            .find(|p| p.sid.is_some() && run.participant_sid == p.sid);
        RunView {
            id: run.id,
            state: run.state,
            created_at: run.created_at,
            dispatched_at: run.dispatched_at,
            dispatches: (run.dispatches, run.last_dispatched_at),
            taken_at: run.taken_at,
            missing_since: run.missing_since,
            left: participant.is_some_and(|participant| {
                let reason = participant.disconnect_reason.as_deref();
                participant.left_at.is_some()
                    && !TRANSIENT_REASONS.contains(&reason.unwrap_or_default())
            }),
        }
    }

    /// Adds a participant who has been invited and has not joined yet.
    pub fn invite(&mut self, identity: String, name: String) -> &Participant {
        self.participants.push(Participant {
            tenant_id: self.session.tenant_id,
            id: self.clock.new_id(),
            session_id: self.session.id,
            sid: None,
            identity,
            name,
            kind: ParticipantKind::Standard,
            joined_at: None,
            left_at: None,
            disconnect_reason: None,
            invited_at: Some(self.clock.now()),
        });
        &self.participants[self.participants.len() - 1]
    }

    /// Adds an audit event, which is written when the aggregate is saved.
    pub fn record_event(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The agent run with this id.
    pub fn run(&mut self, id: AgentRunId) -> Option<&mut AgentRun> {
        self.runs.iter_mut().find(|run| run.id == id)
    }

    /// The newest primary run.
    pub fn newest_primary_run(&self) -> Option<&AgentRun> {
        self.runs.iter().rfind(|run| run.is_primary)
    }

    /// Closes a run whose agent was lost or never joined, for this reason; returns the number of the attempt.
    pub fn close_run(
        &mut self,
        id: AgentRunId,
        (state, why): (RunState, String),
        now: DateTime<Utc>,
    ) -> i32 {
        self.run(id).map_or(0, |run| {
            run.state = state;
            run.error_detail = Some(why);
            run.left_at = run.joined_at.map(|_| run.left_at.unwrap_or(now));
            run.attempt
        })
    }

    /// Changes the session's state. A terminal state also closes its runs and participants. Does nothing if
    /// the session is already in a terminal state.
    pub fn enter(&mut self, state: SessionState, reason: Option<&str>) {
        if self.session.state.is_terminal() || self.session.state == state {
            return;
        }
        let now = self.clock.now();
        let session = &mut self.session;
        let before = json!({ "state": session.state });
        session.state = state;
        session.revision += 1;
        if let Some(reason) = reason {
            session.end_reason.get_or_insert_with(|| reason.to_owned());
        }
        match state {
            SessionState::Created => {}
            SessionState::Starting => session.starting_at = Some(now),
            SessionState::Running => session.running_at = Some(now),
            SessionState::Stopping => session.stopping_at = Some(now),
            SessionState::Ended | SessionState::Failed => {
                session.ended_at = Some(now);
                self.close_runs_and_participants(now);
            }
        }
        if state == SessionState::Stopping || state.is_terminal() {
            let reason = self.session.end_reason.clone().unwrap_or_default();
            let failed = state == SessionState::Failed;
            self.apply_to_calls(&CallEvent::SessionOver(reason, failed));
            self.explain_failed_calls();
        }
        let session = &self.session;
        let after = json!({ "state": session.state, "end_reason": session.end_reason });
        self.events.push(Event::new(
            state.as_str(),
            "session",
            session.id,
            Some(&before),
            Some(&after),
        ));
    }

    /// A call that fails with its session fails for the same reason.
    fn explain_failed_calls(&mut self) {
        for (index, call) in self.calls.iter_mut().enumerate() {
            let fails_now = self.before.call_state(index) != Some(CallState::Failed);
            if call.state == CallState::Failed && fails_now && call.detail.is_none() {
                call.detail.clone_from(&self.session.error_detail);
            }
        }
    }

    fn close_runs_and_participants(&mut self, now: DateTime<Utc>) {
        for run in &mut self.runs {
            if matches!(
                run.state,
                RunState::Pending | RunState::Dispatched | RunState::Joined
            ) {
                run.left_at = run.joined_at.map(|_| run.left_at.unwrap_or(now));
                run.state = RunState::Finished;
            }
        }
        for participant in &mut self.participants {
            if participant.left_at.is_none() && participant.sid.is_some() {
                participant.left_at = Some(now);
            }
        }
    }

    /// Records that the room has been closed, which ends a live session.
    pub fn record_room_closed(&mut self) {
        let reason = closed_reason(&self.view());
        self.session.room_deleted_at = Some(self.clock.now());
        if self.session.state.is_live() {
            self.enter(SessionState::Ended, Some(reason));
        }
    }
}
