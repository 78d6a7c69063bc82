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
    update::{is_still_due, update},
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
        Step::Replace(run, state) => replace_run(service, session, run, state).await,
        Step::Close(run, state) => close_run(service, session, run, state).await,
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

/// Fails the session. Without an agent, session and run say why none has come.
async fn fail(
    service: &Service,
    session: &Session,
    step: &Step,
    reason: &str,
) -> Result<(), JobError> {
    let mut unit = service.system_work(session.tenant_id).await?;
    let Some(mut aggregate) = SessionAggregate::load(&mut unit, session.id).await? else {
        return Ok(());
    };
    if !is_still_due(service, &aggregate, step) {
        return Ok(());
    }
    let why = explain(service, &mut unit, &mut aggregate).await?;
    aggregate.session.error_detail.get_or_insert(why);
    aggregate.enter(SessionState::Failed, Some(reason));
    aggregate.save(&mut unit).await?;
    Ok(unit.commit().await?)
}

/// Why the session has no agent; its newest run is closed for the same reason.
async fn explain(
    service: &Service,
    unit: &mut UnitOfWork,
    aggregate: &mut SessionAggregate,
) -> Result<String, JobError> {
    let session = &aggregate.session;
    let Some(run) = aggregate.newest_primary_run() else {
        return Ok("The session has no agent run.".to_owned());
    };
    let (state, why) = match run.state {
        RunState::Dispatched => {
            let worker = run.worker_name.as_ref().unwrap_or(&session.worker_name);
            let why = no_show::explain(service, unit, run, worker).await?;
            (RunState::NoShow, why)
        }
        RunState::Joined => (RunState::Lost, no_show::explain_closed(RunState::Lost)),
        _ => {
            let cause = session.last_error.as_deref().unwrap_or("it was not tried");
            return Ok(format!(
                "The agent could not be dispatched in time: {cause}."
            ));
        }
    };
    let id = run.id;
    aggregate.close_run(id, (state, why.clone()), service.clock.now());
    Ok(why)
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
    let why = no_show::explain_closed(state);
    let attempt = aggregate.close_run(run, (state, why), now) + 1;
    add_run(service, &mut aggregate, (attempt, None));
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
    let mut unit = service.system_work(session.tenant_id).await?;
    let Some(mut aggregate) = SessionAggregate::load(&mut unit, session.id).await? else {
        return Ok(());
    };
    if !is_still_due(service, &aggregate, &Step::Close(run, state)) {
        return Ok(());
    }
    let now = service.clock.now();
    let why = match aggregate.run(run) {
        Some(row) if row.state == RunState::Dispatched => {
            let worker = row.worker_name.clone().unwrap_or_default();
            no_show::explain(service, &mut unit, row, &worker).await?
        }
        _ => no_show::explain_closed(state),
    };
    aggregate.close_run(run, (state, why), now);
    aggregate.save(&mut unit).await?;
    Ok(unit.commit().await?)
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
