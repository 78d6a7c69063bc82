//! The steps of a session's job, each with at most one effect on LiveKit.

use std::sync::Arc;

use patchbay_domain::{
    AgentRunId, CallId,
    call::CallEvent,
    session::{RunState, SessionState, Step},
};
use patchbay_persistence::sessions::Session;

use super::{
    aggregate::SessionAggregate,
    dispatch, no_show,
    runs::add_run,
    update::{is_still_due, update, update_if_due},
};
use crate::{Service, UnitOfWork, faults::crash_here, jobs::error::JobError, telephony::dial};

/// Executes one step.
pub(super) async fn execute(
    service: &Arc<Service>,
    session: &Session,
    step: Step,
) -> Result<(), JobError> {
    match step {
        Step::CreateRoom(run) => dispatch::create_room(service, session, run).await,
        Step::Dispatch(run) => dispatch::dispatch(service, session, run).await,
        Step::CheckDispatch(run) => dispatch::check(service, session, run).await,
        Step::DeleteRoom => {
            service.livekit.delete_room(&session.room_name).await?;
            crash_here(service, "after_delete_room");
            let now = service.clock.now();
            update(service, session, |aggregate| {
                aggregate.session.room_deleted_at = Some(now)
            })
            .await
        }
        Step::Replace(run, state) => replace_run(service, session, &step, (run, state)).await,
        Step::Close(run, state) => close_run(service, session, &step, (run, state)).await,
        Step::Dial(call) => dial::dial(service, session, call).await,
        Step::LoseCall(call) => end_call(service, session, &step, call, CallEvent::Lost).await,
        Step::HangUp(call, reason) => {
            end_call(service, session, &step, call, CallEvent::HangUp(reason)).await
        }
        Step::Fail(reason) => fail(service, session, &step, reason).await,
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

/// Fails the session, which says why, unless a worker has just taken its agent after all.
async fn fail(
    service: &Service,
    session: &Session,
    step: &Step,
    reason: &str,
) -> Result<(), JobError> {
    if dispatch::has_been_taken(service, session, None).await? {
        return Ok(());
    }
    update_if_due(service, session, step, async |unit, aggregate| {
        let why = explain(service, unit, aggregate).await?;
        aggregate.session.error_detail.get_or_insert(why);
        aggregate.enter(SessionState::Failed, Some(reason));
        Ok(())
    })
    .await
}

/// Why the session has no agent; its newest run is closed for the same reason.
async fn explain(
    service: &Service,
    unit: &mut UnitOfWork,
    aggregate: &mut SessionAggregate,
) -> crate::Result<String> {
    let Some(run) = aggregate.newest_primary_run() else {
        return Ok("The session has no agent run.".to_owned());
    };
    let state = match run.state {
        RunState::Joined => RunState::Lost,
        _ => RunState::NoShow,
    };
    let why = no_show::explain(service, unit, &aggregate.session, (run, state)).await?;
    if matches!(run.state, RunState::Dispatched | RunState::Joined) {
        let id = run.id;
        aggregate.close_run(id, (state, why.clone()), service.clock.now());
    }
    Ok(why)
}

/// Closes a run whose agent was lost or never joined, and adds another one.
async fn replace_run(
    service: &Service,
    session: &Session,
    step: &Step,
    (run, state): (AgentRunId, RunState),
) -> Result<(), JobError> {
    update_if_due(service, session, step, async |unit, aggregate| {
        let attempt = close(service, unit, aggregate, (run, state)).await? + 1;
        add_run(service, aggregate, (attempt, None));
        Ok(())
    })
    .await
}

/// Closes the run of a further agent that has left or never joined. The session goes on without it.
async fn close_run(
    service: &Service,
    session: &Session,
    step: &Step,
    (run, state): (AgentRunId, RunState),
) -> Result<(), JobError> {
    if dispatch::has_been_taken(service, session, Some(run)).await? {
        return Ok(());
    }
    update_if_due(service, session, step, async |unit, aggregate| {
        close(service, unit, aggregate, (run, state)).await?;
        Ok(())
    })
    .await
}

/// Closes a run, which says why; returns the number of the attempt.
async fn close(
    service: &Service,
    unit: &mut UnitOfWork,
    aggregate: &mut SessionAggregate,
    (run, state): (AgentRunId, RunState),
) -> crate::Result<i32> {
    let Some(row) = aggregate.runs.iter().find(|row| row.id == run) else {
        return Ok(0);
    };
    let why = no_show::explain(service, unit, &aggregate.session, (row, state)).await?;
    Ok(aggregate.close_run(run, (state, why), service.clock.now()))
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
