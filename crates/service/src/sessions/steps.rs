//! The effects on LiveKit that a session's job takes, one at a time.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use patchbay_domain::{
    AgentRunId, CallId,
    call::CallEvent,
    session::{RunState, SessionState, Step},
};
use patchbay_livekit::RoomRequest;
use patchbay_persistence::{runs, sessions::Session};
use serde_json::json;

use super::{
    aggregate::SessionAggregate,
    runs::add_run,
    update::{is_still_due, update},
};
use crate::{
    Service, faults::crash_here, jobs::error::JobError, settings::seconds, telephony::dial,
};

/// Takes one step.
pub(super) async fn take(
    service: &Arc<Service>,
    session: &Session,
    step: Step,
) -> Result<(), JobError> {
    match step {
        Step::CreateRoom(run) => create_room(service, session, run).await,
        Step::Dispatch(run) => dispatch(service, session, run).await,
        Step::DeleteRoom => {
            service.livekit.delete_room(&session.room_name).await?;
            crash_here(service, "after_delete_room");
            let now = service.clock.now();
            update(service, session, |aggregate| {
                aggregate.session.room_deleted_at = Some(now)
            })
            .await
        }
        Step::Replace(run, mark) => replace(service, session, run, mark).await,
        Step::Close(run, mark) => close(service, session, run, mark).await,
        Step::Dial(call) => dial::dial(service, session, call).await,
        Step::LoseCall(call) => end_call(service, session, &step, call, CallEvent::Lost).await,
        Step::HangUp(call, reason) => {
            end_call(service, session, &step, call, CallEvent::HangUp(reason)).await
        }
        Step::Fail(reason) => enter(service, session, &step, SessionState::Failed, reason).await,
        Step::Stop(reason) => enter(service, session, &step, SessionState::Stopping, reason).await,
        Step::End(reason) => enter(service, session, &step, SessionState::Ended, reason).await,
        Step::Done | Step::Wait(_) => Ok(()),
    }
}

async fn enter(
    service: &Service,
    session: &Session,
    step: &Step,
    state: SessionState,
    reason: &str,
) -> Result<(), JobError> {
    update(service, session, |aggregate| {
        if is_still_due(service, aggregate, step) {
            aggregate.enter(state, Some(reason));
        }
    })
    .await
}

/// One idempotent call makes the room and dispatches the agent.
async fn create_room(
    service: &Service,
    session: &Session,
    run: AgentRunId,
) -> Result<(), JobError> {
    let request = RoomRequest {
        name: session.room_name.clone(),
        empty_timeout: seconds(service.settings.rooms.empty_timeout),
        departure_timeout: seconds(service.settings.rooms.departure_timeout),
        max_participants: service.settings.rooms.max_participants,
        agent_name: session.worker_name.clone(),
        dispatch_metadata: dispatch_metadata(session, run),
    };
    let room = match service.livekit.create_room(&request).await {
        Ok(room) => room,
        Err(error) => {
            let text = error.summary();
            update(service, session, |aggregate| {
                aggregate.session.last_error = Some(text)
            })
            .await?;
            return Err(error.into());
        }
    };
    crash_here(service, "after_create_room");
    let now = service.clock.now();
    update(service, session, |aggregate| {
        aggregate.session.room_sid = Some(room.sid);
        aggregate.session.dispatched_at.get_or_insert(now);
        aggregate.session.last_error = None;
        dispatched(aggregate, run, None, now);
    })
    .await
}

/// Dispatches a further run. The call is not idempotent, so LiveKit is asked first whether an
/// interrupted attempt has got through.
async fn dispatch(service: &Service, session: &Session, run: AgentRunId) -> Result<(), JobError> {
    let metadata = dispatch_metadata(session, run);
    let mut unit = service.system_work(session.tenant_id).await?;
    let row = runs::find(&mut unit, session.id, run).await?;
    unit.finish();
    let worker = row.and_then(|row| row.worker_name);
    let worker = worker.as_ref().unwrap_or(&session.worker_name);
    let known = service.livekit.list_dispatches(&session.room_name).await?;
    let dispatch = match known.into_iter().find(|known| known.metadata == metadata) {
        Some(known) => known,
        None => {
            let room = &session.room_name;
            service
                .livekit
                .create_dispatch(room, worker, &metadata)
                .await?
        }
    };
    crash_here(service, "after_create_dispatch");
    let now = service.clock.now();
    update(service, session, |aggregate| {
        dispatched(aggregate, run, Some(dispatch.id), now)
    })
    .await
}

fn dispatched(
    aggregate: &mut SessionAggregate,
    run: AgentRunId,
    id: Option<String>,
    now: DateTime<Utc>,
) {
    if let Some(run) = aggregate.run(run) {
        run.dispatch_id = id;
        run.dispatched_at.get_or_insert(now);
        if run.state == RunState::Pending {
            run.state = RunState::Dispatched;
        }
    }
}

/// Ids only: the metadata of a dispatch is no secret.
fn dispatch_metadata(session: &Session, run: AgentRunId) -> String {
    json!({
        "tenant_id": session.tenant_id,
        "session_id": session.id,
        "agent_run_id": run,
    })
    .to_string()
}

async fn replace(
    service: &Service,
    session: &Session,
    run: AgentRunId,
    mark: RunState,
) -> Result<(), JobError> {
    let mut unit = service.system_work(session.tenant_id).await?;
    let Some(mut aggregate) = SessionAggregate::load(&mut unit, session.id).await? else {
        return Ok(());
    };
    if !is_still_due(service, &aggregate, &Step::Replace(run, mark)) {
        return Ok(());
    }
    let now = service.clock.now();
    let attempt = aggregate.close_run(run, mark, now) + 1;
    add_run(service, &mut unit, &mut aggregate, (attempt, None)).await?;
    aggregate.save(&mut unit).await?;
    unit.commit().await?;
    Ok(())
}

/// A further agent is gone, or never came: that is all.
async fn close(
    service: &Service,
    session: &Session,
    run: AgentRunId,
    mark: RunState,
) -> Result<(), JobError> {
    let now = service.clock.now();
    update(service, session, |aggregate| {
        if is_still_due(service, aggregate, &Step::Close(run, mark)) {
            aggregate.close_run(run, mark, now);
        }
    })
    .await
}

/// One call is over; what that means for the session follows.
async fn end_call(
    service: &Service,
    session: &Session,
    step: &Step,
    call: CallId,
    event: CallEvent,
) -> Result<(), JobError> {
    let now = service.clock.now();
    update(service, session, |aggregate| {
        if is_still_due(service, aggregate, step) {
            aggregate.apply_to_call(call, &event, now);
        }
    })
    .await
}
