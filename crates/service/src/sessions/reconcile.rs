//! The job of a session: compare what is recorded with LiveKit and take the next step, until there
//! is nothing to do but wait.
//!
//! It runs once at a time for a session (the jobs table sees to that) and reads the record anew
//! before every step. Each step is an effect that can be repeated, or is looked for before it is
//! repeated, so a crash at any point is repaired by running the job again.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use patchbay_domain::{
    SessionId, TenantId,
    session::{SessionState, Step, next_step},
};
use patchbay_livekit::Participant;
use patchbay_persistence::sessions::Session;

use super::{aggregate::SessionAggregate, observed::ObservedParticipant, steps::take};
use crate::{Error, Service, jobs::error::JobError};

/// More steps than any session needs at once; ends a loop that would be a defect.
const MOST_STEPS: usize = 12;

/// Runs the job; answers when it is due again, if ever.
#[tracing::instrument(skip_all, fields(%tenant, %id), err(level = "warn"))]
pub async fn reconcile(
    service: &Arc<Service>,
    tenant: TenantId,
    id: SessionId,
) -> Result<Option<DateTime<Utc>>, JobError> {
    for _ in 0..MOST_STEPS {
        let Some(step) = decide(service, tenant, id).await? else {
            return Ok(None);
        };
        match step {
            (_, Step::Done) => return Ok(None),
            (_, Step::Wait(until)) => return Ok(Some(until)),
            (session, step) => take(service, &session, step).await?,
        }
    }
    Err(Error::internal("a session that never settles").into())
}

/// Looks at LiveKit where that matters, records what is seen, and decides.
async fn decide(
    service: &Service,
    tenant: TenantId,
    id: SessionId,
) -> Result<Option<(Session, Step)>, JobError> {
    let mut unit = service.system_work(tenant).await?;
    let Some(aggregate) = SessionAggregate::load(&mut unit, id).await? else {
        return Ok(None);
    };
    unit.finish();
    let in_room = match aggregate.session.state {
        SessionState::Starting => aggregate.session.dispatched_at.is_some(),
        state => state == SessionState::Running,
    };
    if in_room {
        return match observe(service, &aggregate.session).await {
            // Without LiveKit nothing can be seen, but time goes on.
            Err(JobError::LiveKit(error)) => {
                match next_step(&aggregate.view(), &service.timings, service.clock.now()) {
                    step @ Step::Stop(_) => Ok(Some((aggregate.session, step))),
                    _ => Err(error.into()),
                }
            }
            seen => seen,
        };
    }
    let step = next_step(&aggregate.view(), &service.timings, service.clock.now());
    Ok(Some((aggregate.session, step)))
}

async fn observe(
    service: &Service,
    session: &Session,
) -> Result<Option<(Session, Step)>, JobError> {
    let at = service.clock.now();
    let name = session.room_name.clone();
    let rooms = service.livekit.list_rooms(vec![name.clone()]).await?;
    let here = rooms
        .iter()
        .any(|room| session.room_sid.as_ref().is_none_or(|sid| *sid == room.sid));
    let present = if here {
        service.livekit.list_participants(&name).await?
    } else {
        Vec::new()
    };
    let seen: Vec<_> = present.iter().map(observed).collect();
    let mut unit = service.system_work(session.tenant_id).await?;
    let Some(mut aggregate) = SessionAggregate::load(&mut unit, session.id).await? else {
        return Ok(None);
    };
    if aggregate.session.state.is_live() {
        if here {
            aggregate.session.room_missing_since = None;
            aggregate.observed(&seen, at);
        } else {
            aggregate.session.room_missing_since.get_or_insert(at);
        }
    }
    let surplus: Vec<_> = seen
        .iter()
        .filter(|seen| aggregate.is_surplus(seen))
        .map(|seen| seen.identity.to_owned())
        .collect();
    let step = next_step(&aggregate.view(), &service.timings, service.clock.now());
    let session = aggregate.save(&mut unit).await?;
    unit.commit().await?;
    for identity in surplus {
        tracing::info!("removing an agent that came too late, or a telephone that has hung up");
        service.livekit.remove_participant(&name, &identity).await?;
    }
    Ok(Some((session, step)))
}

fn observed(participant: &Participant) -> ObservedParticipant<'_> {
    ObservedParticipant {
        sid: &participant.sid,
        identity: &participant.identity,
        name: &participant.name,
        kind: participant.kind,
        attributes: &participant.attributes,
    }
}
