//! Dispatches of agent runs in LiveKit. A run may be dispatched several times: LiveKit drops a dispatch that no worker
//! takes at once.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    AgentRunId, MappingId,
    session::{RunState, Step},
};
use patchbay_livekit::{Dispatch, RoomRequest};
use patchbay_persistence::{runs::AgentRun, sessions::Session};
use serde_json::{Value, json};

use super::{
    aggregate::SessionAggregate,
    update::{is_still_due, update},
};
use crate::{
    Service,
    faults::crash_here,
    jobs::error::JobError,
    settings::seconds,
    trace::{self, TRACEPARENT},
};

/// Creates the room and dispatches the agent in one idempotent request.
pub(super) async fn create_room(
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
        dispatch_metadata: metadata(session, run, None),
    };
    let room = match service.livekit.create_room(&request).await {
        Ok(room) => room,
        Err(error) => return Err(record_failure(service, session, error).await?),
    };
    crash_here(service, "after_create_room");
    let now = service.clock.now();
    update(service, session, |aggregate| {
        aggregate.session.room_sid = Some(room.sid);
        aggregate.session.dispatched_at.get_or_insert(now);
        aggregate.session.last_error = None;
        let is_pending = |run: &mut AgentRun| run.state == RunState::Pending;
        if aggregate.run(run).is_some_and(is_pending) {
            record_dispatch(aggregate, run, None, now);
        }
    })
    .await
}

/// Records why LiveKit did not do what the session needs, and returns the job's error.
async fn record_failure(
    service: &Service,
    session: &Session,
    error: patchbay_livekit::Error,
) -> Result<JobError, JobError> {
    let summary = error.summary();
    update(service, session, |aggregate| {
        aggregate.session.last_error = Some(summary);
    })
    .await?;
    Ok(error.into())
}

/// Dispatches a run into the existing room.
pub(super) async fn dispatch(
    service: &Service,
    session: &Session,
    run: AgentRunId,
) -> Result<(), JobError> {
    look_and_dispatch(service, session, &Step::Dispatch(run), run).await
}

/// Looks whether a worker has taken the run, and dispatches it again if none has. A worker that accepts an earlier
/// dispatch after all joins as the same run, and a second agent is removed from the room.
pub(super) async fn check(
    service: &Service,
    session: &Session,
    run: AgentRunId,
) -> Result<(), JobError> {
    look_and_dispatch(service, session, &Step::CheckDispatch(run), run).await
}

/// Creates a dispatch unless there is one that may bring the agent. The request is not idempotent, so LiveKit's
/// dispatches are listed first, also to find one that an interrupted attempt has created.
async fn look_and_dispatch(
    service: &Service,
    session: &Session,
    step: &Step,
    id: AgentRunId,
) -> Result<(), JobError> {
    let Some((run, mapping)) = find_run(service, session, Some(id)).await? else {
        return Ok(());
    };
    let found = match list(service, session, (&run, mapping)).await {
        Ok(found) => found,
        Err(error) => return Err(record_failure(service, session, error).await?),
    };
    if let Some(taken) = found.iter().find(|dispatch| dispatch.is_taken) {
        return record_taken(service, session, &run, &taken.id).await;
    }
    let recorded = usize::try_from(run.dispatches).unwrap_or_default();
    let made = match found.into_iter().nth(recorded) {
        Some(dispatch) => dispatch,
        None if !may_dispatch(service, session, step).await? => return Ok(()),
        None => {
            let worker = run.worker_name.as_ref().unwrap_or(&session.worker_name);
            let (room, metadata) = (&session.room_name, metadata(session, id, mapping));
            let made = service.livekit.create_dispatch(room, worker, &metadata);
            match made.await {
                Ok(made) => made,
                Err(error) => return Err(record_failure(service, session, error).await?),
            }
        }
    };
    crash_here(service, "after_create_dispatch");
    let now = service.clock.now();
    update(service, session, |aggregate| {
        aggregate.session.last_error = None;
        record_dispatch(aggregate, id, Some(made.id), now);
    })
    .await
}

/// Looks once more before an agent is given up: whether a worker has taken a run that it had not taken before, which is
/// recorded. Without an id, the session's newest primary run is meant.
pub(super) async fn has_been_taken(
    service: &Service,
    session: &Session,
    id: Option<AgentRunId>,
) -> Result<bool, JobError> {
    let Some((run, mapping)) = find_run(service, session, id).await? else {
        return Ok(false);
    };
    if run.state != RunState::Dispatched || run.taken_at.is_some() {
        return Ok(false);
    }
    // Without LiveKit's answer nothing speaks against giving up.
    let found = list(service, session, (&run, mapping))
        .await
        .unwrap_or_default();
    let Some(taken) = found.iter().find(|dispatch| dispatch.is_taken) else {
        return Ok(false);
    };
    record_taken(service, session, &run, &taken.id).await?;
    Ok(true)
}

/// The dispatches of a run in LiveKit.
async fn list(
    service: &Service,
    session: &Session,
    (run, mapping): (&AgentRun, Option<MappingId>),
) -> Result<Vec<Dispatch>, patchbay_livekit::Error> {
    let mut found = service.livekit.list_dispatches(&session.room_name).await?;
    found.retain(|found| is_of_run(found, run, mapping));
    Ok(found)
}

async fn record_taken(
    service: &Service,
    session: &Session,
    run: &AgentRun,
    dispatch: &str,
) -> Result<(), JobError> {
    let now = service.clock.now();
    update(service, session, |aggregate| {
        aggregate.session.last_error = None;
        if run.state == RunState::Pending {
            record_dispatch(aggregate, run.id, Some(dispatch.to_owned()), now);
        }
        if let Some(run) = aggregate.run(run.id) {
            run.taken_at.get_or_insert(now);
        }
    })
    .await
}

/// A run, the newest primary one by default, and the mapping whose rule has dispatched it, if it is the first one of an
/// inbound call.
async fn find_run(
    service: &Service,
    session: &Session,
    id: Option<AgentRunId>,
) -> Result<Option<(AgentRun, Option<MappingId>)>, JobError> {
    let mut unit = service.system_work(session.tenant_id).await?;
    let aggregate = SessionAggregate::load(&mut unit, session.id).await?;
    unit.finish();
    let Some(aggregate) = aggregate else {
        return Ok(None);
    };
    let run = match id {
        Some(id) => aggregate.runs.iter().find(|run| run.id == id),
        None => aggregate.newest_primary_run(),
    };
    let call = aggregate.calls.iter().find(|call| call.is_primary);
    Ok(run.map(|run| {
        let mapping = call.and_then(|call| call.mapping_id);
        let mapping = mapping.filter(|_| run.is_primary && run.attempt == 1);
        (run.clone(), mapping)
    }))
}

/// Whether a dispatch is one of this run: by the run's id, or by the mapping whose rule LiveKit applied.
fn is_of_run(found: &Dispatch, run: &AgentRun, mapping: Option<MappingId>) -> bool {
    let Ok(metadata) = serde_json::from_str::<Value>(&found.metadata) else {
        return false;
    };
    metadata["agent_run_id"] == json!(run.id)
        || mapping.is_some_and(|mapping| metadata["mapping_id"] == json!(mapping))
}

/// Whether the dispatch is still to be made, now that LiveKit's have been listed: it cannot be taken back.
async fn may_dispatch(service: &Service, session: &Session, step: &Step) -> Result<bool, JobError> {
    let mut due = false;
    update(service, session, |aggregate| {
        due = is_still_due(service, aggregate, step);
    })
    .await?;
    Ok(due)
}

fn record_dispatch(
    aggregate: &mut SessionAggregate,
    run: AgentRunId,
    id: Option<String>,
    now: DateTime<Utc>,
) {
    let Some(run) = aggregate.run(run) else {
        return;
    };
    run.dispatches += 1;
    run.last_dispatched_at = Some(now);
    run.dispatch_id = id;
    run.dispatched_at.get_or_insert(now);
    if run.state == RunState::Pending {
        run.state = RunState::Dispatched;
    }
}

/// Ids and the trace alone, since the metadata of a dispatch is not confidential. With the mapping, a worker recognises an
/// inbound call that it is answering already.
fn metadata(session: &Session, run: AgentRunId, mapping: Option<MappingId>) -> String {
    let mut ids = json!({
        "tenant_id": session.tenant_id,
        "session_id": session.id,
        "agent_run_id": run,
    });
    if let Some(mapping) = mapping {
        ids["mapping_id"] = json!(mapping);
    }
    if let Some(traceparent) = trace::current() {
        ids[TRACEPARENT] = json!(traceparent);
    }
    ids.to_string()
}
