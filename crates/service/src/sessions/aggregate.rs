//! What is recorded of a session, in one place: the row, its runs, participants and calls, locked
//! together and stored together.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{
    AgentRunId, Clock, SessionId, UserId,
    call::CallEvent,
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
use crate::{Error, Result, UnitOfWork, audit::Event, timeline::Timeline};

/// LiveKit's reasons that do not mean that the participant itself is gone for good.
const NOT_GONE: [&str; 7] = [
    "",
    "UNKNOWN_REASON",
    "SERVER_SHUTDOWN",
    "MIGRATION",
    "STATE_MISMATCH",
    "ROOM_DELETED",
    "ROOM_CLOSED",
];

/// A session with all that changes with it. The row is locked.
pub struct SessionAggregate {
    /// The session.
    pub session: Session,
    /// Its runs, oldest first.
    pub runs: Vec<AgentRun>,
    /// Its participants.
    pub participants: Vec<Participant>,
    /// Its telephone calls, oldest first.
    pub calls: Vec<Call>,
    pub(crate) clock: Clock,
    pub(super) touched_participants: Vec<usize>,
    pub(crate) events: Vec<Event>,
    before: Snapshot,
}

/// Whether this is somebody, no agent, who was in the room and not only invited.
fn was_here(participant: &Participant) -> bool {
    let seen = participant.joined_at.or(participant.left_at);
    participant.kind != ParticipantKind::Agent && seen.is_some()
}

impl SessionAggregate {
    /// Locks and loads a session; none where it does not exist.
    pub async fn load(unit: &mut UnitOfWork, id: SessionId) -> Result<Option<Self>> {
        let Some(session) = sessions::lock(unit, id).await? else {
            return Ok(None);
        };
        let runs = runs::of_session(unit, id).await?;
        let participants = participants::of_session(unit, id).await?;
        let calls = calls::of_session(unit, id).await?;
        Ok(Some(Self {
            before: Snapshot::of(&session, &runs, &participants, &calls),
            runs,
            participants,
            calls,
            session,
            clock: unit.clock().clone(),
            touched_participants: Vec::new(),
            events: Vec::new(),
        }))
    }

    /// The same; it is an error where the session does not exist.
    pub async fn require(unit: &mut UnitOfWork, id: SessionId) -> Result<Self> {
        Self::load(unit, id).await?.ok_or_else(Error::not_found)
    }

    /// Stores what changed, with its audit events and its place on the timeline.
    pub async fn save(mut self, unit: &mut UnitOfWork) -> Result<Session> {
        self.forget_names(unit).await?;
        unit.append(self.changes()).await?;
        sessions::update(unit, &self.session).await?;
        for run in &self.runs {
            runs::update(unit, run).await?;
        }
        for index in &self.touched_participants {
            let participant = &self.participants[*index];
            if self.before.knows_participant(*index) {
                participants::update(unit, participant).await?;
            } else {
                participants::insert(unit, participant).await?;
            }
        }
        for (index, call) in self.calls.iter().enumerate() {
            match self.before.calls.get(index) {
                Some(known) if known == call => {}
                Some(_) => calls::update(unit, call).await?,
                None => calls::insert(unit, call).await?,
            }
        }
        for event in self.events {
            unit.audit(event).await?;
        }
        Ok(self.session)
    }

    /// What has changed since it was loaded.
    fn changes(&self) -> Timeline {
        let (now, before) = (self.clock.now(), &self.before);
        let mut timeline = Timeline::of(self.session.id);
        before.compare_session(&self.session, now, &mut timeline);
        before.compare_runs(&self.runs, now, &mut timeline);
        before.compare_participants(&self.participants, now, &mut timeline);
        before.compare_calls(&self.calls, now, &mut timeline);
        timeline
    }

    /// Takes away the names of people who have been erased.
    async fn forget_names(&mut self, tx: &mut TenantTx) -> Result<()> {
        let touched = self.touched_participants.iter();
        let touched = touched.map(|index| &self.participants[*index]);
        let named = touched.filter(|participant| !participant.name.is_empty());
        let users = named.filter_map(|participant| UserId::of_identity(&participant.identity));
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

    /// What the next step depends on.
    pub fn view(&self) -> View {
        let session = &self.session;
        View {
            state: session.state,
            starting_at: session.starting_at,
            dispatched_at: session.dispatched_at,
            running_at: session.running_at,
            room_missing_since: session.room_missing_since,
            room_deleted: session.room_deleted_at.is_some(),
            visited: self.participants.iter().any(was_here),
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
        let stay = self
            .participants
            .iter()
            .find(|p| p.sid.is_some() && run.participant_sid == p.sid);
        RunView {
            id: run.id,
            state: run.state,
            created_at: run.created_at,
            dispatched_at: run.dispatched_at,
            missing_since: run.missing_since,
            left: stay.is_some_and(|stay| {
                let reason = stay.disconnect_reason.as_deref().unwrap_or_default();
                stay.left_at.is_some() && !NOT_GONE.contains(&reason)
            }),
        }
    }

    /// Expects somebody; answers the aggregate.
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
        let index = self.participants.len() - 1;
        self.touched_participants.push(index);
        &self.participants[index]
    }

    /// Adds an event of its own to the audit trail.
    pub fn note(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The run with this id.
    pub fn run(&mut self, id: AgentRunId) -> Option<&mut AgentRun> {
        self.runs.iter_mut().find(|run| run.id == id)
    }

    /// Closes a run that is lost or never came; answers which attempt it was.
    pub fn close_run(&mut self, id: AgentRunId, mark: RunState, now: DateTime<Utc>) -> i32 {
        self.run(id).map_or(0, |run| {
            run.state = mark;
            run.left_at = run.joined_at.map(|_| run.left_at.unwrap_or(now));
            run.attempt
        })
    }

    /// Enters a state. Entering a terminal one closes runs and participants.
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
                self.close(now);
            }
        }
        if state == SessionState::Stopping || state.is_terminal() {
            let reason = self.session.end_reason.clone().unwrap_or_default();
            let failed = state == SessionState::Failed;
            self.apply_to_calls(&CallEvent::SessionOver(reason, failed));
        }
        let session = &self.session;
        let after = json!({ "state": session.state, "end_reason": session.end_reason });
        self.events.push(Event::of(
            state.as_str(),
            "session",
            session.id,
            Some(&before),
            Some(&after),
        ));
    }

    fn close(&mut self, now: DateTime<Utc>) {
        for run in &mut self.runs {
            if matches!(
                run.state,
                RunState::Pending | RunState::Dispatched | RunState::Joined
            ) {
                run.left_at = run.joined_at.map(|_| run.left_at.unwrap_or(now));
                run.state = RunState::Finished;
            }
        }
        for (index, participant) in self.participants.iter_mut().enumerate() {
            if participant.left_at.is_none() && participant.sid.is_some() {
                participant.left_at = Some(now);
                self.touched_participants.push(index);
            }
        }
    }

    /// The room is gone for good.
    pub fn room_closed(&mut self) {
        let reason = closed_reason(&self.view());
        self.session.room_deleted_at = Some(self.clock.now());
        if self.session.state.is_live() {
            self.enter(SessionState::Ended, Some(reason));
        }
    }
}
