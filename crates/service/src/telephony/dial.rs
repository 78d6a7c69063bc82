//! Dialing, at most once per call.
//!
//! `sent_at` is recorded before the request to LiveKit: a call that was sent is never sent again, and its outcome
//! is read from the participants of the room. While a process waits for the response, it keeps `awaited_until`
//! ahead of the clock; once that has passed, the session's job decides by the participants that it sees.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{
    CallId, Invalid,
    call::{CallEvent, reason},
    session::Step,
    sip::SipAddress,
    states::SyncState,
};
use patchbay_livekit::Dial;
use patchbay_persistence::{
    calls,
    sessions::Session,
    sip_objects::SipObject,
    sip_trunks::{self, SipTrunk},
};
use tokio::time::timeout;

use super::dial_outcome::DialOutcome;
use crate::{
    Service,
    faults::{crash_here, wait_here},
    jobs::{error::JobError, queue},
    panics::catch_panic,
    sessions::{
        aggregate::SessionAggregate,
        update::{is_still_due, update},
    },
};

/// Delay of a dial whose trunk is being synchronised.
const SYNC_WAIT: TimeDelta = TimeDelta::milliseconds(250);

/// Dials, unless that has been done, and spawns a task that waits for the response.
pub async fn dial(service: &Arc<Service>, session: &Session, id: CallId) -> Result<(), JobError> {
    let mut tx = service.db.begin(session.tenant_id).await?;
    let call = calls::find(&mut tx, id).await?;
    let trunk = match call.as_ref().and_then(|call| call.trunk_id) {
        Some(trunk) => sip_trunks::find(&mut tx, trunk).await?,
        None => None,
    };
    tx.finish();
    let Some(call) = call else { return Ok(()) };
    if trunk
        .as_ref()
        .is_some_and(|(_, object)| object.is_pending())
    {
        // LiveKit may still have an older version of the trunk.
        return Err(JobError::NotYet(SYNC_WAIT));
    }
    let trunk_sid = match usable_trunk_sid(service, trunk).await {
        Ok(sid) => sid,
        Err(detail) => {
            let event = CallEvent::Refused(reason::TRUNK_FAILURE);
            let outcome = DialOutcome::new(event, detail);
            return record_outcome(service, session, id, outcome).await;
        }
    };
    wait_here(service, "before_dial").await;
    let lease = service.clock.now() + service.settings.jobs.lease;
    let mut sent = false;
    update(service, session, |aggregate| {
        sent = is_still_due(service, aggregate, &Step::Dial(id));
        aggregate.update_call(id, |call| {
            if sent {
                call.sent_at = Some(service.clock.now());
                call.awaited_until = Some(lease);
            }
        });
    })
    .await?;
    crash_here(service, "after_dial_recorded");
    if sent {
        let seconds =
            |seconds: i32| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let ring = seconds(call.ring_timeout_seconds);
        let dial = Dial {
            trunk_sid,
            to: call.to_number.clone().unwrap_or_default(),
            from: call.from_number.clone(),
            room: session.room_name.clone(),
            identity: call.identity.clone(),
            ring,
            // LiveKit's own limit, in case no process of the service is running to hang up.
            longest: ring + seconds(call.max_duration_seconds) + Duration::from_secs(30),
        };
        // The dial outlives the job, and so its claim.
        let service = service.under_claim(None);
        tokio::spawn(run_dial(service, session.clone(), (id, lease), dial));
    }
    Ok(())
}

/// Returns LiveKit's id of the trunk, or why calls cannot be placed through it now.
async fn usable_trunk_sid(
    service: &Service,
    trunk: Option<(SipTrunk, SipObject)>,
) -> Result<String, String> {
    let (trunk, object) = trunk.ok_or("the trunk was deleted")?;
    let address: SipAddress = trunk.address.parse().map_err(|e: Invalid| e.message)?;
    let checked = service.outbound.check_host(&address.host).await;
    checked.map_err(|error| format!("the trunk's address: {error}"))?;
    match (object.sync_state, object.trunk_sid) {
        (SyncState::Synced, Some(sid)) => Ok(sid),
        _ => {
            let why = object.error.as_deref().unwrap_or("not synchronised yet");
            Err(format!(
                "LiveKit does not have the current version of the trunk: {why}"
            ))
        }
    }
}

/// Dials and records the outcome. After a panic the session's job reads the outcome from the room.
async fn run_dial(
    service: Arc<Service>,
    session: Session,
    (id, until): (CallId, DateTime<Utc>),
    dial: Dial,
) {
    if service.clock.now() >= until {
        // This process has been paused. The session's job has judged the call by the room already.
        tracing::warn!(call = %id, "a dial was not made, because it is too late for it");
        return;
    }
    if let Err(panicked) = catch_panic(await_dial(&service, &session, id, dial)).await {
        let abandoned = DialOutcome::new(CallEvent::Abandoned, panicked.to_string());
        if let Err(error) = record_outcome(&service, &session, id, abandoned).await {
            tracing::warn!(%error, call = %id, "a dial panicked, and this could not be recorded");
        }
    }
}

/// Sends the dial request, which lasts as long as the call rings, and extends `awaited_until` meanwhile.
async fn await_dial(service: &Service, session: &Session, id: CallId, dial: Dial) {
    let lease = service.settings.jobs.lease;
    let work = service.livekit.dial(&dial);
    let mut work = std::pin::pin!(work);
    let outcome = loop {
        match timeout(lease / 3, &mut work).await {
            Ok(outcome) => break outcome,
            Err(_) => extend_wait(service, session, id, service.clock.now() + lease).await,
        }
    };
    crash_here(service, "after_dial_answered");
    if let Err(error) = record_outcome(service, session, id, outcome.into()).await {
        // `awaited_until` passes, and the session's job reads the outcome from the room.
        tracing::warn!(%error, call = %id, "the outcome of a dial could not be recorded");
    }
}

async fn extend_wait(service: &Service, session: &Session, id: CallId, until: DateTime<Utc>) {
    let extended = async {
        let mut tx = service.db.begin(session.tenant_id).await?;
        calls::await_until(&mut tx, id, until).await?;
        tx.commit().await
    };
    if let Err(error) = extended.await {
        tracing::warn!(%error, call = %id, "the wait for a dial could not be extended");
    }
}

async fn record_outcome(
    service: &Service,
    session: &Session,
    id: CallId,
    outcome: DialOutcome,
) -> Result<(), JobError> {
    let now = service.clock.now();
    let mut unit = service.system_work(session.tenant_id).await?;
    let Some(mut aggregate) = SessionAggregate::load(&mut unit, session.id).await? else {
        return Ok(());
    };
    let is_late = aggregate
        .call(id)
        .is_none_or(|call| call.state.is_terminal());
    if is_late && outcome.event == CallEvent::Answered {
        // The callee answered after the call was given up, which recreates the room: it must be deleted again.
        aggregate.session.room_deleted_at = None;
    }
    aggregate.update_call(id, |call| {
        if !is_late {
            call.sip_call_id = outcome.sip_call_id.or(call.sip_call_id.take());
            call.sip_status = outcome.sip_status.map(i32::from);
            call.detail = outcome.detail;
        }
    });
    aggregate.apply_to_call(id, &outcome.event, now);
    aggregate.save(&mut unit).await?;
    queue::enqueue_session(service, &mut unit, session.id).await?;
    unit.commit().await?;
    service.job_due.notify_one();
    Ok(())
}
