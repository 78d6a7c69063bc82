//! The steps of a session's job, each with at most one effect on LiveKit.

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

/// Executes one step.
pub(super) async fn execute(
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
        Step::Replace(run, state) => replace_run(service, session, run, state).await,
        Step::Close(run, state) => close_run(service, session, run, state).await,
        Step::Dial(call) => dial::dial(service, session, call).await,
        Step::LoseCall(call) => end_call(service, session, &step, call, CallEvent::Lost).await,
        Step::HangUp(call, reason) => {
            end_call(service, session, &step, call, CallEvent::HangUp(reason)).await
        }
        Step::Fail(reason) => {
            change_state(service, session, &step, SessionState::Failed, reason).await
        }
        Step::Stop(reason) => {
            change_state(service, session, &step, SessionState::Stopping, reason).await
        }
        Step::End(reason) => {
            change_state(service, session, &step, SessionState::Ended, reason).await
        }
        Step::Done | Step::Wait(_) => Ok(()),
    }
}

async fn change_state(
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

/// Creates the room and dispatches the agent in one idempotent request.
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
            let summary = error.summary();
            update(service, session, |aggregate| {
                aggregate.session.last_error = Some(summary)
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
        record_dispatch(aggregate, run, None, now);
    })
    .await
}

/// Dispatches a further run. The request is not idempotent, so LiveKit's dispatches are listed first, to find
/// one that an interrupted attempt has already created.
async fn dispatch(service: &Service, session: &Session, run: AgentRunId) -> Result<(), JobError> {
    let metadata = dispatch_metadata(session, run);
    let mut unit = service.system_work(session.tenant_id).await?;
    let row = runs::find(&mut unit, session.id, run).await?;
    unit.finish();
    let worker = row.and_then(|row| row.worker_name);
    let worker = worker.as_ref().unwrap_or(&session.worker_name);
    let dispatches = service.livekit.list_dispatches(&session.room_name).await?;
    let mut dispatches = dispatches.into_iter();
    let dispatch = match dispatches.find(|dispatch| dispatch.metadata == metadata) {
        Some(dispatch) => dispatch,
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
        record_dispatch(aggregate, run, Some(dispatch.id), now)
    })
    .await
}

fn record_dispatch(
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

/// Contains ids only, since the metadata of a dispatch is not confidential.
fn dispatch_metadata(session: &Session, run: AgentRunId) -> String {
    json!({
        "tenant_id": session.tenant_id,
        "session_id": session.id,
        "agent_run_id": run,
    })
    .to_string()
}

async fn replace_run(
    service: &Service,
    session: &Session,
    run: AgentRunId,
    state: RunState,
) -> Result<(), JobError> {
    let mut unit = service.system_work(session.tenant_id).await?;
    let Some(mut aggregate) = SessionAggregate::load(&mut unit, session.id).await? else {
        return Ok(());
    };
    if !is_still_due(service, &aggregate, &Step::Replace(run, state)) {
        return Ok(());
    }
    let now = service.clock.now();
    let attempt = aggregate.close_run(run, state, now) + 1;
    add_run(service, &mut unit, &mut aggregate, (attempt, None)).await?;
    aggregate.save(&mut unit).await?;
    unit.commit().await?;
    Ok(())
}

/// Closes the run of a further agent that has left or never joined. The session goes on without it.
async fn close_run(
    service: &Service,
    session: &Session,
    run: AgentRunId,
    state: RunState,
) -> Result<(), JobError> {
    let now = service.clock.now();
    update(service, session, |aggregate| {
        if is_still_due(service, aggregate, &Step::Close(run, state)) {
            aggregate.close_run(run, state, now);
        }
    })
    .await
}

/// Ends one call. The end of a session's primary call also stops the session.
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
