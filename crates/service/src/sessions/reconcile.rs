//! The job of a session: compares the recorded state with LiveKit and executes the next step, until it can only
//! wait or the session is over.
//!
//! The jobs table ensures that at most one job runs per session. The recorded state is read again before every
//! step. Each step is idempotent, or its effect is looked up before it is repeated, so running the job again
//! recovers from a crash at any point.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use patchbay_domain::{
    SessionId, TenantId,
    session::{SessionState, Step, next_step},
};
use patchbay_livekit::Participant;
use patchbay_persistence::sessions::{self, Session};

use super::{aggregate::SessionAggregate, observed::ObservedParticipant, steps::execute};
use crate::{Service, jobs::error::JobError};

/// More steps than any session needs in one run of its job; a defect must not cause an endless loop.
const MAX_STEPS: usize = 12;

/// Runs the job; returns when it is due again, if ever.
#[tracing::instrument(skip_all, fields(%tenant, %id), err(level = "warn"))]
pub async fn reconcile(
    service: &Arc<Service>,
    tenant: TenantId,
    id: SessionId,
) -> Result<Option<DateTime<Utc>>, JobError> {
    for _ in 0..MAX_STEPS {
        let Some(step) = determine_step(service, tenant, id).await? else {
            return Ok(None);
        };
        match step {
            (_, Step::Done) => return Ok(None),
            (_, Step::Wait(until)) => return Ok(Some(until)),
            (session, step) => execute(service, &session, step).await?,
        }
    }
    let reason = "a session's job did not finish within its maximum number of steps";
    Err(JobError::retry(reason))
}

/// Determines the next step; while the session may have a room, from an observation of LiveKit, which is
/// recorded. Returns `None` if the session does not exist.
async fn determine_step(
    service: &Service,
    tenant: TenantId,
    id: SessionId,
) -> Result<Option<(Session, Step)>, JobError> {
    let mut tx = service.db.begin(tenant).await?;
    let found = sessions::find(&mut tx, id).await?;
    tx.finish();
    let Some(session) = found else {
        return Ok(None);
    };
    if !may_have_room(&session) {
        return recorded_step(service, &session).await;
    }
    match look(service, &session).await {
        Ok(observed) => record(service, &session, observed).await,
        // Deadlines are enforced even while LiveKit is unreachable.
        Err(error) => match recorded_step(service, &session).await? {
            Some((session, step @ Step::Stop(_))) => Ok(Some((session, step))),
            _ => Err(error.into()),
        },
    }
}

fn may_have_room(session: &Session) -> bool {
    match session.state {
        SessionState::Starting => session.dispatched_at.is_some(),
        state => state == SessionState::Running,
    }
}

/// The next step according to what is recorded.
async fn recorded_step(
    service: &Service,
    session: &Session,
) -> Result<Option<(Session, Step)>, JobError> {
    let mut unit = service.system_work(session.tenant_id).await?;
    let aggregate = SessionAggregate::load(&mut unit, session.id).await?;
    unit.finish();
    Ok(aggregate.map(|aggregate| {
        let step = next_step(&aggregate.view(), &service.timings, service.clock.now());
        (aggregate.session, step)
    }))
}

/// What LiveKit shows of a room at one moment; no participants if the room does not exist.
struct Observation {
    at: DateTime<Utc>,
    participants: Option<Vec<Participant>>,
}

async fn look(
    service: &Service,
    session: &Session,
) -> Result<Observation, patchbay_livekit::Error> {
    let at = service.clock.now();
    let name = &session.room_name;
    let rooms = service.livekit.list_rooms(vec![name.clone()]).await?;
    let room_exists = rooms
        .iter()
        .any(|room| session.room_sid.as_ref().is_none_or(|sid| *sid == room.sid));
    let participants = match room_exists {
        true => Some(service.livekit.list_participants(name).await?),
        false => None,
    };
    Ok(Observation { at, participants })
}

/// Records the observation, removes surplus participants from the room, and returns the next step.
async fn record(
    service: &Service,
    session: &Session,
    observation: Observation,
) -> Result<Option<(Session, Step)>, JobError> {
    let Observation { at, participants } = observation;
    let present: Vec<_> = participants.iter().flatten().map(to_observed).collect();
    let mut unit = service.system_work(session.tenant_id).await?;
    let Some(mut aggregate) = SessionAggregate::load(&mut unit, session.id).await? else {
        return Ok(None);
    };
    if aggregate.session.state.is_live() {
        if participants.is_some() {
            aggregate.session.room_missing_since = None;
            aggregate.record_present(&present, at);
        } else {
            aggregate.session.room_missing_since.get_or_insert(at);
        }
    }
    let surplus: Vec<_> = present
        .iter()
        .filter(|participant| aggregate.is_surplus(participant))
        .map(|participant| participant.identity.to_owned())
        .collect();
    let step = next_step(&aggregate.view(), &service.timings, service.clock.now());
    let session = aggregate.save(&mut unit).await?;
    unit.commit().await?;
    match remove(service, &session.room_name, surplus).await {
        // Nothing that is due waits for a participant whom LiveKit cannot remove.
        Err(error) if matches!(step, Step::Wait(_)) => Err(error.into()),
        _ => Ok(Some((session, step))),
    }
}

/// Removes all these participants, whatever happens to one of them; returns the last error.
async fn remove(
    service: &Service,
    room: &str,
    identities: Vec<String>,
) -> Result<(), patchbay_livekit::Error> {
    let mut result = Ok(());
    for identity in identities {
        tracing::info!(
            "removing an agent that joined too late, or the SIP participant of an ended call"
        );
        if let Err(error) = service.livekit.remove_participant(room, &identity).await {
            result = Err(error);
        }
    }
    result
}

fn to_observed(participant: &Participant) -> ObservedParticipant<'_> {
    ObservedParticipant {
        sid: &participant.sid,
        identity: &participant.identity,
        name: &participant.name,
        kind: participant.kind,
        attributes: &participant.attributes,
    }
}
