//! Snapshot of a session as it was loaded; the differences from it are stored, and become timeline events.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    call::CallState,
    session::RunState,
    timeline::{EventKind, Facts},
};
use patchbay_persistence::{
    TenantTx,
    calls::{self, Call},
    participants::{self, Participant},
    runs::{self, AgentRun},
    sessions::{self, Session},
};

use crate::{Result, measurement::Measurement, timeline::Timeline};

/// State of a session aggregate at the time it was loaded: of the session and its runs what can change.
pub(super) struct Snapshot {
    session: sessions::Progress,
    runs: Vec<runs::Progress>,
    participants: Vec<Participant>,
    calls: Vec<Call>,
}

impl Snapshot {
    /// Takes a snapshot.
    pub fn new(
        session: &Session,
        runs: &[AgentRun],
        participants: &[Participant],
        calls: &[Call],
    ) -> Self {
        Self {
            session: session.progress(),
            runs: runs.iter().map(AgentRun::progress).collect(),
            participants: participants.to_vec(),
            calls: calls.to_vec(),
        }
    }

    /// Whether the participant at this index is new or has changed.
    pub fn is_changed(&self, index: usize, participant: &Participant) -> bool {
        self.participants.get(index) != Some(participant)
    }

    /// State that the call at this index had.
    pub fn call_state(&self, index: usize) -> Option<CallState> {
        self.calls.get(index).map(|call| call.state)
    }

    /// Stores the session if it has changed.
    pub async fn store_session(&self, tx: &mut TenantTx, session: &Session) -> Result<()> {
        let progress = session.progress();
        if progress != self.session {
            sessions::update(tx, session.id, &progress).await?;
        }
        Ok(())
    }

    /// Stores the runs that are new or have changed.
    pub async fn store_runs(&self, tx: &mut TenantTx, runs: &[AgentRun]) -> Result<()> {
        for (index, run) in runs.iter().enumerate() {
            let progress = run.progress();
            match self.runs.get(index) {
                Some(before) if *before == progress => {}
                Some(_) => runs::update(tx, run.id, &progress).await?,
                None => runs::insert(tx, run).await?,
            }
        }
        Ok(())
    }

    /// Stores the participants that are new or have changed.
    pub async fn store_participants(
        &self,
        tx: &mut TenantTx,
        participants: &[Participant],
    ) -> Result<()> {
        for (index, participant) in participants.iter().enumerate() {
            match self.participants.get(index) {
                Some(before) if before == participant => {}
                Some(_) => participants::update(tx, participant).await?,
                None => participants::insert(tx, participant).await?,
            }
        }
        Ok(())
    }

    /// Stores the calls that are new or have changed.
    pub async fn store_calls(&self, tx: &mut TenantTx, calls: &[Call]) -> Result<()> {
        for (index, call) in calls.iter().enumerate() {
            match self.calls.get(index) {
                Some(before) if before == call => {}
                Some(_) => calls::update(tx, call).await?,
                None => calls::insert(tx, call).await?,
            }
        }
        Ok(())
    }

    /// Adds an event if the session's state has changed.
    pub fn compare_session(&self, session: &Session, now: DateTime<Utc>, timeline: &mut Timeline) {
        if session.state == self.session.state {
            return;
        }
        let facts = Facts {
            reason: session.end_reason.clone(),
            ..Facts::default()
        };
        timeline.add(now, session.state.into(), facts);
    }

    /// Adds an event for each run that is new or whose state has changed.
    pub fn compare_runs(&self, runs: &[AgentRun], now: DateTime<Utc>, timeline: &mut Timeline) {
        for (index, run) in runs.iter().enumerate() {
            if self.runs.get(index).map(|before| before.state) == Some(run.state) {
                continue;
            }
            let facts = Facts {
                agent_run_id: Some(run.id),
                ..Facts::default()
            };
            timeline.add(now, run.state.into(), facts);
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
                reason: reason.filter(|_| kind == EventKind::ParticipantLeft),
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
    ) -> Option<(DateTime<Utc>, EventKind)> {
        let before = self.participants.get(index);
        let is_new = before.is_none();
        let joined = before.and_then(|before| before.joined_at);
        let left = before.and_then(|before| before.left_at);
        match (participant.joined_at, participant.left_at) {
            (None, None) if is_new => Some((now, EventKind::ParticipantInvited)),
            (Some(at), None) if joined.is_none() => Some((at, EventKind::ParticipantJoined)),
            (_, None) if left.is_some() => Some((now, EventKind::ParticipantReturned)),
            (_, Some(at)) if left.is_none() => Some((at, EventKind::ParticipantLeft)),
            _ => None,
        }
    }

    /// Adds an event for each call that is new or whose state has changed.
    pub fn compare_calls(&self, calls: &[Call], now: DateTime<Utc>, timeline: &mut Timeline) {
        for (index, call) in calls.iter().enumerate() {
            if self.call_state(index) == Some(call.state) {
                continue;
            }
            let facts = Facts {
                reason: call.reason.clone(),
                call_id: Some(call.id),
                ..Facts::default()
            };
            timeline.add(now, call.state.into(), facts);
        }
    }

    /// The end of the session, if it is new.
    pub fn measure_session(&self, session: &Session) -> Option<Measurement> {
        let is_over = session.state.is_terminal() && !self.session.state.is_terminal();
        is_over.then(|| Measurement::SessionOver(session.state, session.end_reason.clone()))
    }

    /// Dispatches, and agents that have joined or never came.
    pub fn measure_runs(&self, session: &Session, runs: &[AgentRun]) -> Vec<Measurement> {
        let mut found = Vec::new();
        for (index, run) in runs.iter().enumerate() {
            let before = self.runs.get(index);
            let earlier = before.map_or(0, |before| before.dispatches);
            found.extend(
                (earlier..run.dispatches)
                    .map(|number| Measurement::Dispatched { again: number > 0 }),
            );
            let state = before.map(|before| before.state);
            match run.state {
                state_now if state == Some(state_now) => {}
                RunState::NoShow => found.push(Measurement::DispatchLost),
                RunState::Joined => found.extend(joined(session, run)),
                _ => {}
            }
        }
        found
    }

    /// The calls that are over now.
    pub fn measure_calls(&self, calls: &[Call]) -> Vec<Measurement> {
        let is_new = |(index, call): &(usize, &Call)| {
            call.state.is_terminal() && !self.call_state(*index).is_some_and(CallState::is_terminal)
        };
        let over = calls.iter().enumerate().filter(is_new);
        let over = over.map(|(_, call)| {
            Measurement::CallOver(
                call.direction,
                call.state,
                call.reason.clone(),
                call.sip_status,
            )
        });
        over.collect()
    }
}

/// How long the agent took to join.
fn joined(session: &Session, run: &AgentRun) -> Option<Measurement> {
    let after = run.joined_at? - run.dispatched_at?;
    let worker = run.worker_name.as_ref().unwrap_or(&session.worker_name);
    Some(Measurement::Joined(
        worker.clone(),
        after.to_std().unwrap_or_default(),
    ))
}
