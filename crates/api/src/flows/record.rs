//! What is recorded of a session, in one place: the row, its runs and its participants, locked
//! together and stored together.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{
    AgentRunId, Clock, SessionId, UserId,
    call::CallEvent,
    session::{RunState, RunView, SessionState, View, closed_reason},
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

use crate::{
    audit::{self, Event},
    error::Result,
    extract::{Actor, RequestMeta},
    timeline::{Facts, Timeline},
};

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
/// The prefix of the identity under which the reference worker joins, before the run's id.
pub const AGENT_IDENTITY: &str = "agent-";

/// A participant as seen, in a webhook or in a list.
pub struct Seen<'a> {
    /// LiveKit's id of the stay.
    pub sid: &'a str,
    /// Identity.
    pub identity: &'a str,
    /// Display name.
    pub name: &'a str,
    /// `standard`, `agent`, `sip` or `other`.
    pub kind: &'static str,
    /// What is said of a telephone.
    pub attributes: &'a HashMap<String, String>,
}

/// A session with all that changes with it. The row is locked.
pub struct Record {
    /// The session.
    pub session: Session,
    /// Its runs, oldest first.
    pub runs: Vec<AgentRun>,
    /// Its participants.
    pub participants: Vec<Participant>,
    /// Its telephone calls, oldest first.
    pub calls: Vec<Call>,
    pub(super) clock: Clock,
    touched_participants: Vec<usize>,
    pub(super) events: Vec<Event>,
    known: Known,
}

/// When somebody joined and left.
type Stay = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// Whether this is somebody, no agent, who was in the room and not only invited.
fn was_here(participant: &Participant) -> bool {
    let seen = participant.joined_at.or(participant.left_at);
    participant.kind != "agent" && seen.is_some()
}

/// How things stood when the record was loaded; what differs at the end goes onto the timeline.
struct Known {
    state: SessionState,
    runs: Vec<RunState>,
    participants: Vec<Stay>,
    calls: Vec<Call>,
}

impl Record {
    /// Locks and loads a session; none where it does not exist.
    pub async fn load(tx: &mut TenantTx, clock: &Clock, id: SessionId) -> Result<Option<Self>> {
        let Some(session) = sessions::find(tx, id, true).await? else {
            return Ok(None);
        };
        let runs = runs::of_session(tx, id).await?;
        let participants = participants::of_session(tx, id).await?;
        let calls = calls::of_session(tx, id).await?;
        let known = Known {
            state: session.state,
            runs: runs.iter().map(|run| run.state).collect(),
            participants: participants
                .iter()
                .map(|p| (p.joined_at, p.left_at))
                .collect(),
            calls: calls.clone(),
        };
        Ok(Some(Self {
            known,
            runs,
            participants,
            calls,
            session,
            clock: clock.clone(),
            touched_participants: Vec::new(),
            events: Vec::new(),
        }))
    }

    /// Stores what changed, with its audit events and its place on the timeline.
    pub async fn save(
        mut self,
        tx: &mut TenantTx,
        actor: &Actor,
        request: Option<&RequestMeta>,
    ) -> Result<Session> {
        self.forget_names(tx).await?;
        self.timeline().write(tx, &self.clock).await?;
        sessions::update(tx, &self.session).await?;
        for run in &self.runs {
            runs::update(tx, run).await?;
        }
        for index in &self.touched_participants {
            let participant = &self.participants[*index];
            if *index < self.known.participants.len() {
                participants::update(tx, participant).await?;
            } else {
                participants::insert(tx, participant).await?;
            }
        }
        for (index, call) in self.calls.iter().enumerate() {
            match self.known.calls.get(index) {
                Some(known) if known == call => {}
                Some(_) => calls::update(tx, call).await?,
                None => calls::insert(tx, call).await?,
            }
        }
        for event in self.events {
            audit::record(tx, &self.clock, actor, request, event).await?;
        }
        Ok(self.session)
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

    /// What has changed since the record was loaded.
    fn timeline(&self) -> Timeline {
        let now = self.clock.now();
        let mut timeline = Timeline::of(self.session.id);
        if self.session.state != self.known.state {
            let facts = Facts {
                reason: self.session.end_reason.clone(),
                ..Facts::default()
            };
            let kind = format!("session.{}", self.session.state.as_str());
            timeline.add(now, kind, facts);
        }
        for (index, run) in self.runs.iter().enumerate() {
            if self.known.runs.get(index) != Some(&run.state) {
                let facts = Facts {
                    agent_run_id: Some(run.id),
                    ..Facts::default()
                };
                timeline.add(now, format!("run.{}", run.state.as_str()), facts);
            }
        }
        for (index, participant) in self.participants.iter().enumerate() {
            let is_new = index >= self.known.participants.len();
            let (joined, left) = self
                .known
                .participants
                .get(index)
                .copied()
                .unwrap_or_default();
            let what = match (participant.joined_at, participant.left_at) {
                (None, None) if is_new => (now, "participant.invited"),
                (Some(at), None) if joined.is_none() => (at, "participant.joined"),
                (_, None) if left.is_some() => (now, "participant.returned"),
                (_, Some(at)) if left.is_none() => (at, "participant.left"),
                _ => continue,
            };
            let reason = participant.disconnect_reason.clone();
            let facts = Facts {
                reason: reason.filter(|_| what.1 == "participant.left"),
                participant: Some(participant.identity.clone()),
                ..Facts::default()
            };
            timeline.add(what.0, what.1, facts);
        }
        for (index, call) in self.calls.iter().enumerate() {
            let known = self.known.calls.get(index).map(|known| known.state);
            if known != Some(call.state) {
                let facts = Facts {
                    reason: call.reason.clone(),
                    call_id: Some(call.id),
                    ..Facts::default()
                };
                timeline.add(now, format!("call.{}", call.state.as_str()), facts);
            }
        }
        timeline
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

    /// Expects somebody; answers the record.
    pub fn invite(&mut self, identity: String, name: String) -> &Participant {
        self.participants.push(Participant {
            tenant_id: self.session.tenant_id,
            id: self.clock.new_id(),
            session_id: self.session.id,
            sid: None,
            identity,
            name,
            kind: "standard".to_owned(),
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
            self.tell_calls(&CallEvent::SessionOver(reason, failed));
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

    /// A participant is, or was, in the room since `at`.
    pub fn joined(&mut self, seen: &Seen<'_>, at: DateTime<Utc>) {
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
        if seen.kind == "agent" && !self.session.state.is_terminal() {
            self.agent_joined(seen, at, left);
        }
        self.telephone_seen(seen, at);
    }

    fn agent_joined(&mut self, seen: &Seen<'_>, at: DateTime<Utc>, left: Option<DateTime<Utc>>) {
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
    fn run_of(&self, seen: &Seen<'_>) -> Option<usize> {
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

    /// Whether somebody is one too many: nobody's agent beside the primary one, or a telephone whose
    /// call is over.
    pub fn is_surplus(&self, seen: &Seen<'_>) -> bool {
        let joined = |run: &&AgentRun| run.state == RunState::Joined;
        let mut joined = self.runs.iter().filter(joined);
        let is_its = |run: &AgentRun| run.participant_sid.as_deref() == Some(seen.sid);
        let agent =
            seen.kind == "agent" && joined.clone().any(|run| run.is_primary) && !joined.any(is_its);
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
    pub fn left(&mut self, seen: &Seen<'_>, at: DateTime<Utc>, reason: &str) {
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
    pub fn observed(&mut self, present: &[Seen<'_>], at: DateTime<Utc>) {
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

    fn participant(&mut self, seen: &Seen<'_>) -> usize {
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
            participant.kind = seen.kind.to_owned();
            return index;
        }
        self.participants.push(Participant {
            tenant_id: self.session.tenant_id,
            id: self.clock.new_id(),
            session_id: self.session.id,
            sid: Some(seen.sid.to_owned()),
            identity: seen.identity.to_owned(),
            name: seen.name.to_owned(),
            kind: seen.kind.to_owned(),
            joined_at: None,
            left_at: None,
            disconnect_reason: None,
            invited_at: None,
        });
        self.participants.len() - 1
    }
}
