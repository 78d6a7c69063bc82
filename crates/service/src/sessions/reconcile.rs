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
use patchbay_persistence::sessions::Session;

use super::{aggregate::SessionAggregate, observed::ObservedParticipant, steps::execute};
use crate::{Error, Service, jobs::error::JobError};

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
    Err(Error::internal("a session's job did not finish within its maximum number of steps").into())
}

/// Determines the next step; while the session may have a room, from an observation of LiveKit, which is
/// recorded. Returns `None` if the session does not exist.
async fn determine_step(
    service: &Service,
    tenant: TenantId,
    id: SessionId,
) -> Result<Option<(Session, Step)>, JobError> {
    let mut unit = service.system_work(tenant).await?;
    let Some(aggregate) = SessionAggregate::load(&mut unit, id).await? else {
        return Ok(None);
    };
    unit.finish();
    let may_have_room = match aggregate.session.state {
        SessionState::Starting => aggregate.session.dispatched_at.is_some(),
        state => state == SessionState::Running,
    };
    if may_have_room {
        return match observe(service, &aggregate.session).await {
            // Deadlines are enforced even while LiveKit is unreachable.
            Err(JobError::LiveKit(error)) => {
                match next_step(&aggregate.view(), &service.timings, service.clock.now()) {
                    step @ Step::Stop(_) => Ok(Some((aggregate.session, step))),
                    _ => Err(error.into()),
                }
            }
            observed => observed,
        };
    }
    let step = next_step(&aggregate.view(), &service.timings, service.clock.now());
    Ok(Some((aggregate.session, step)))
}

/// Records the state of the room in LiveKit, removes surplus participants from it, and returns the next step.
async fn observe(
    service: &Service,
    session: &Session,
) -> Result<Option<(Session, Step)>, JobError> {
    let at = service.clock.now();
    let name = session.room_name.clone();
    let rooms = service.livekit.list_rooms(vec![name.clone()]).await?;
    let room_exists = rooms
        .iter()
        .any(|room| session.room_sid.as_ref().is_none_or(|sid| *sid == room.sid));
    let participants = if room_exists {
        service.livekit.list_participants(&name).await?
    } else {
        Vec::new()
    };
    let present: Vec<_> = participants.iter().map(to_observed).collect();
    let mut unit = service.system_work(session.tenant_id).await?;
    let Some(mut aggregate) = SessionAggregate::load(&mut unit, session.id).await? else {
        return Ok(None);
    };
    if aggregate.session.state.is_live() {
        if room_exists {
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
    for identity in surplus {
        tracing::info!(
            "removing an agent that joined too late, or the SIP participant of an ended call"
        );
        service.livekit.remove_participant(&name, &identity).await?;
    }
    Ok(Some((session, step)))
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
