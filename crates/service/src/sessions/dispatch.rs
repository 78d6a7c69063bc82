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
use crate::{Service, faults::crash_here, jobs::error::JobError, settings::seconds};

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
    run: AgentRunId,
) -> Result<(), JobError> {
    let Some((row, mapping)) = find_run(service, session, run).await? else {
        return Ok(());
    };
    let own = |found: &Dispatch| is_of_run(found, &row, mapping);
    let found = match service.livekit.list_dispatches(&session.room_name).await {
        Ok(found) => found,
        Err(error) => return Err(record_failure(service, session, error).await?),
    };
    let of_run: Vec<_> = found.into_iter().filter(own).collect();
    let recorded = usize::try_from(row.dispatches).unwrap_or_default();
    let now = service.clock.now();
    if let Some(taken) = of_run.iter().find(|dispatch| dispatch.is_taken) {
        return update(service, session, |aggregate| {
            if row.state == RunState::Pending {
                record_dispatch(aggregate, run, Some(taken.id.clone()), now);
            }
            aggregate.session.last_error = None;
            if let Some(run) = aggregate.run(run) {
                run.taken_at.get_or_insert(now);
            }
        })
        .await;
    }
    let made = match of_run.into_iter().nth(recorded) {
        Some(dispatch) => dispatch,
        None => {
            if !may_dispatch(service, session, step).await? {
                return Ok(());
            }
            let worker = row.worker_name.as_ref().unwrap_or(&session.worker_name);
            let metadata = metadata(session, run, mapping);
            let made = service
                .livekit
                .create_dispatch(&session.room_name, worker, &metadata)
                .await;
            match made {
                Ok(made) => made,
                Err(error) => return Err(record_failure(service, session, error).await?),
            }
        }
    };
    crash_here(service, "after_create_dispatch");
    update(service, session, |aggregate| {
        aggregate.session.last_error = None;
        record_dispatch(aggregate, run, Some(made.id), now);
    })
    .await
}

/// The run, and the mapping whose rule has dispatched it, if it is the first one of an inbound call.
async fn find_run(
    service: &Service,
    session: &Session,
    run: AgentRunId,
) -> Result<Option<(AgentRun, Option<MappingId>)>, JobError> {
    let mut unit = service.system_work(session.tenant_id).await?;
    let Some(mut aggregate) = SessionAggregate::load(&mut unit, session.id).await? else {
        return Ok(None);
    };
    unit.finish();
    let call = aggregate.calls.iter().find(|call| call.is_primary);
    let mapping = call.and_then(|call| call.mapping_id);
    let row = aggregate.run(run).cloned();
    Ok(row.map(|row| {
        let mapping = mapping.filter(|_| row.is_primary && row.attempt == 1);
        (row, mapping)
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

/// Contains ids only, since the metadata of a dispatch is not confidential. With the mapping, a worker recognises an
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
    ids.to_string()
}
