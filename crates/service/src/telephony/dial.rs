//! The dial, which happens at most once.
//!
//! What is recorded before LiveKit is called (`sent_at`) makes it so: a call that was sent is never sent
//! again, and what became of it is looked for in the room. While a process waits for the answer it keeps
//! `awaited_until` ahead of the clock; when that stops, the session's job judges by what it sees.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
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

use super::conclusion::Conclusion;
use crate::{
    Service,
    faults::crash_here,
    jobs::{error::JobError, queue},
    panics::caught,
    sessions::{
        aggregate::SessionAggregate,
        update::{is_still_due, update},
    },
};

/// Dials, if nobody has yet, and leaves a task to wait for the answer.
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
        // What LiveKit has of it may be about something else; the job comes back in a moment.
        let why = "the trunk is being synchronised into LiveKit";
        return Err(JobError::NotYet(why));
    }
    let trunk_sid = match usable(service, trunk).await {
        Ok(sid) => sid,
        Err(why) => {
            let event = CallEvent::Refused(reason::TRUNK_FAILURE);
            return conclude(service, session, id, Conclusion::of(event, why)).await;
        }
    };
    let lease = service.clock.now() + service.settings.jobs.lease;
    let mut sent = false;
    update(service, session, |aggregate| {
        sent = is_still_due(service, aggregate, &Step::Dial(id));
        aggregate.note_call(id, |call| {
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
            // A net under our own clock, should nobody of us be there to hang up.
            longest: ring + seconds(call.max_duration_seconds) + Duration::from_secs(30),
        };
        tokio::spawn(see_dial_through(
            Arc::clone(service),
            session.clone(),
            id,
            dial,
        ));
    }
    Ok(())
}

/// LiveKit's id of the trunk, if calls may go through it now.
async fn usable(service: &Service, trunk: Option<(SipTrunk, SipObject)>) -> Result<String, String> {
    let (trunk, object) = trunk.ok_or("the trunk was deleted")?;
    let address: SipAddress = trunk.address.parse().map_err(|e: Invalid| e.message)?;
    let checked = service.outbound.check_host(&address.host).await;
    checked.map_err(|error| format!("the trunk's address: {error}"))?;
    match (object.sync_state, object.trunk_sid) {
        (SyncState::Synced, Some(sid)) => Ok(sid),
        _ => {
            let why = object.error.as_deref().unwrap_or("not yet");
            Err(format!("LiveKit has not got the trunk as it is: {why}"))
        }
    }
}

/// Waits for the answer to a dial. Should that panic, the room will show what became of the call.
async fn see_dial_through(service: Arc<Service>, session: Session, id: CallId, dial: Dial) {
    if let Err(panicked) = caught(await_dial(&service, &session, id, dial)).await {
        let given_up = Conclusion::of(CallEvent::Abandoned, panicked.to_string());
        if let Err(error) = conclude(&service, &session, id, given_up).await {
            tracing::warn!(%error, call = %id, "a dial that panicked was not recorded as given up");
        }
    }
}

/// Waits for as long as it rings.
async fn await_dial(service: &Service, session: &Session, id: CallId, dial: Dial) {
    let lease = service.settings.jobs.lease;
    let work = service.livekit.dial(&dial);
    let mut work = std::pin::pin!(work);
    let outcome = loop {
        match timeout(lease / 3, &mut work).await {
            Ok(outcome) => break outcome,
            Err(_) => go_on_waiting(service, session, id, service.clock.now() + lease).await,
        }
    };
    crash_here(service, "after_dial_answered");
    let conclusion = Conclusion::from(outcome);
    if let Err(error) = conclude(service, session, id, conclusion).await {
        // The lease ends, and the session's job finds out by itself.
        tracing::warn!(%error, call = %id, "the answer to a dial was not recorded");
    }
}

async fn go_on_waiting(service: &Service, session: &Session, id: CallId, until: DateTime<Utc>) {
    let extended = async {
        let mut tx = service.db.begin(session.tenant_id).await?;
        calls::await_until(&mut tx, id, until).await?;
        tx.commit().await
    };
    if let Err(error) = extended.await {
        tracing::warn!(%error, call = %id, "the wait for a dial was not extended");
    }
}

async fn conclude(
    service: &Service,
    session: &Session,
    id: CallId,
    conclusion: Conclusion,
) -> Result<(), JobError> {
    let now = service.clock.now();
    let mut unit = service.system_work(session.tenant_id).await?;
    let Some(mut aggregate) = SessionAggregate::load(&mut unit, session.id).await? else {
        return Ok(());
    };
    let is_late = aggregate
        .call(id)
        .is_none_or(|call| call.state.is_terminal());
    if is_late && conclusion.event == CallEvent::Answered {
        // Somebody answered a call that was given up: the room is there once more, and must go.
        aggregate.session.room_deleted_at = None;
    }
    aggregate.note_call(id, |call| {
        if !is_late {
            call.sip_call_id = conclusion.sip_call_id.or(call.sip_call_id.take());
            call.sip_status = conclusion.sip_status.map(i32::from);
            call.detail = conclusion.detail;
        }
    });
    aggregate.apply_to_call(id, &conclusion.event, now);
    aggregate.save(&mut unit).await?;
    queue::session(service, &mut unit, session.id).await?;
    unit.commit().await?;
    service.job_due.notify_one();
    Ok(())
}
