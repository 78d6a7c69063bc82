//! The job of a session: compare what is recorded with LiveKit and take the next step, until there
//! is nothing to do but wait.
//!
//! It runs once at a time for a session (the jobs table sees to that) and reads the record anew
//! before every step. Each step is an effect that can be repeated, or is looked for before it is
//! repeated, so a crash at any point is repaired by running the job again.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use patchbay_domain::{
    AgentRunId, CallId, SessionId, TenantId,
    call::CallEvent,
    session::{RunState, SessionState, Step, next_step},
};
use patchbay_livekit::{Participant, RoomRequest};
use patchbay_persistence::{jobs, runs, sessions::Session, webhook_events};
use serde_json::json;

use super::{
    calls,
    record::{Record, Seen},
    sessions::add_run,
};
use crate::{app::App, error::ApiError, extract::Actor};

/// More steps than any session needs at once; ends a loop that would be a defect.
const MOST_STEPS: usize = 12;

/// Why the job could not finish; it is repeated.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The database, or a defect.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// LiveKit.
    #[error("{0}")]
    LiveKit(#[from] patchbay_livekit::Error),
}

impl From<patchbay_persistence::Error> for SyncError {
    fn from(error: patchbay_persistence::Error) -> Self {
        Self::Api(error.into())
    }
}

/// Runs the job; answers when it is due again, if ever.
#[tracing::instrument(skip_all, fields(%tenant, %id), err(level = "warn"))]
pub async fn sync(
    app: &Arc<App>,
    tenant: TenantId,
    id: SessionId,
) -> Result<Option<DateTime<Utc>>, SyncError> {
    for _ in 0..MOST_STEPS {
        let Some(step) = decide(app, tenant, id).await? else {
            return Ok(None);
        };
        match step {
            (_, Step::Done) => return Ok(None),
            (_, Step::Wait(until)) => return Ok(Some(until)),
            (session, step) => take(app, &session, step).await?,
        }
    }
    Err(ApiError::internal("a session that never settles").into())
}

/// Looks at LiveKit where that matters, records what is seen, and decides.
async fn decide(
    app: &App,
    tenant: TenantId,
    id: SessionId,
) -> Result<Option<(Session, Step)>, SyncError> {
    let mut tx = app.db.begin(tenant).await?;
    let Some(record) = Record::load(&mut tx, &app.clock, id).await? else {
        return Ok(None);
    };
    tx.finish();
    let in_room = match record.session.state {
        SessionState::Starting => record.session.dispatched_at.is_some(),
        state => state == SessionState::Running,
    };
    if in_room {
        return match observe(app, &record.session).await {
            // Without LiveKit nothing can be seen, but time goes on.
            Err(SyncError::LiveKit(error)) => {
                match next_step(&record.view(), &app.timings, app.clock.now()) {
                    step @ Step::Stop(_) => Ok(Some((record.session, step))),
                    _ => Err(error.into()),
                }
            }
            seen => seen,
        };
    }
    let step = next_step(&record.view(), &app.timings, app.clock.now());
    Ok(Some((record.session, step)))
}

async fn observe(app: &App, session: &Session) -> Result<Option<(Session, Step)>, SyncError> {
    let at = app.clock.now();
    let name = session.room_name.clone();
    let rooms = app.livekit.list_rooms(vec![name.clone()]).await?;
    let here = rooms
        .iter()
        .any(|room| session.room_sid.as_ref().is_none_or(|sid| *sid == room.sid));
    let present = if here {
        app.livekit.list_participants(&name).await?
    } else {
        Vec::new()
    };
    let seen: Vec<_> = present.iter().map(seen).collect();
    let mut tx = app.db.begin(session.tenant_id).await?;
    let Some(mut record) = Record::load(&mut tx, &app.clock, session.id).await? else {
        return Ok(None);
    };
    if record.session.state.is_live() {
        if here {
            record.session.room_missing_since = None;
            record.observed(&seen, at);
        } else {
            record.session.room_missing_since.get_or_insert(at);
        }
    }
    let surplus: Vec<_> = seen
        .iter()
        .filter(|seen| record.is_surplus(seen))
        .map(|seen| seen.identity.to_owned())
        .collect();
    let step = next_step(&record.view(), &app.timings, app.clock.now());
    let session = record.save(&mut tx, &Actor::System, None).await?;
    tx.commit().await?;
    for identity in surplus {
        tracing::info!("removing an agent that came too late, or a telephone that has hung up");
        app.livekit.remove_participant(&name, &identity).await?;
    }
    Ok(Some((session, step)))
}

fn seen(participant: &Participant) -> Seen<'_> {
    Seen {
        sid: &participant.sid,
        identity: &participant.identity,
        name: &participant.name,
        kind: participant.kind.as_str(),
        attributes: &participant.attributes,
    }
}

async fn take(app: &Arc<App>, session: &Session, step: Step) -> Result<(), SyncError> {
    match step {
        Step::CreateRoom(run) => create_room(app, session, run).await,
        Step::Dispatch(run) => dispatch(app, session, run).await,
        Step::DeleteRoom => {
            app.livekit.delete_room(&session.room_name).await?;
            crash_here(app, "after_delete_room");
            let now = app.clock.now();
            change(app, session, |record| {
                record.session.room_deleted_at = Some(now)
            })
            .await
        }
        Step::Replace(run, mark) => replace(app, session, run, mark).await,
        Step::Close(run, mark) => close(app, session, run, mark).await,
        Step::Dial(call) => calls::dial(app, session, call).await,
        Step::LoseCall(call) => end_call(app, session, &step, call, CallEvent::Lost).await,
        Step::HangUp(call, reason) => {
            end_call(app, session, &step, call, CallEvent::HangUp(reason)).await
        }
        Step::Fail(reason) => enter(app, session, &step, SessionState::Failed, reason).await,
        Step::Stop(reason) => enter(app, session, &step, SessionState::Stopping, reason).await,
        Step::End(reason) => enter(app, session, &step, SessionState::Ended, reason).await,
        Step::Done | Step::Wait(_) => Ok(()),
    }
}

/// Whether the step is still the one to take, now that the record is locked: a request or a webhook
/// may have come between.
pub(super) fn still_due(app: &App, record: &Record, step: &Step) -> bool {
    next_step(&record.view(), &app.timings, app.clock.now()) == *step
}

async fn enter(
    app: &App,
    session: &Session,
    step: &Step,
    state: SessionState,
    reason: &str,
) -> Result<(), SyncError> {
    change(app, session, |record| {
        if still_due(app, record, step) {
            record.enter(state, Some(reason));
        }
    })
    .await
}

/// One idempotent call makes the room and dispatches the agent.
async fn create_room(app: &App, session: &Session, run: AgentRunId) -> Result<(), SyncError> {
    let request = RoomRequest {
        name: session.room_name.clone(),
        empty_timeout: app.settings.room_empty_timeout.seconds(),
        departure_timeout: app.settings.room_departure_timeout.seconds(),
        max_participants: app.settings.max_participants,
        agent_name: session.worker_name.clone(),
        dispatch_metadata: dispatch_metadata(session, run),
    };
    let room = match app.livekit.create_room(&request).await {
        Ok(room) => room,
        Err(error) => {
            let text = error.summary();
            change(app, session, |record| {
                record.session.last_error = Some(text)
            })
            .await?;
            return Err(error.into());
        }
    };
    crash_here(app, "after_create_room");
    let now = app.clock.now();
    change(app, session, |record| {
        record.session.room_sid = Some(room.sid);
        record.session.dispatched_at.get_or_insert(now);
        record.session.last_error = None;
        dispatched(record, run, None, now);
    })
    .await
}

/// Dispatches a further run. The call is not idempotent, so LiveKit is asked first whether an
/// interrupted attempt has got through.
async fn dispatch(app: &App, session: &Session, run: AgentRunId) -> Result<(), SyncError> {
    let metadata = dispatch_metadata(session, run);
    let mut tx = app.db.begin(session.tenant_id).await?;
    let row = runs::find(&mut tx, session.id, run).await?;
    tx.finish();
    let worker = row.and_then(|row| row.worker_name);
    let worker = worker.as_ref().unwrap_or(&session.worker_name);
    let known = app.livekit.list_dispatches(&session.room_name).await?;
    let dispatch = match known.into_iter().find(|known| known.metadata == metadata) {
        Some(known) => known,
        None => {
            let room = &session.room_name;
            app.livekit.create_dispatch(room, worker, &metadata).await?
        }
    };
    crash_here(app, "after_create_dispatch");
    let now = app.clock.now();
    change(app, session, |record| {
        dispatched(record, run, Some(dispatch.id), now)
    })
    .await
}

fn dispatched(record: &mut Record, run: AgentRunId, id: Option<String>, now: DateTime<Utc>) {
    if let Some(run) = record.run(run) {
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
    app: &App,
    session: &Session,
    run: AgentRunId,
    mark: RunState,
) -> Result<(), SyncError> {
    let mut tx = app.db.begin(session.tenant_id).await?;
    let Some(mut record) = Record::load(&mut tx, &app.clock, session.id).await? else {
        return Ok(());
    };
    if !still_due(app, &record, &Step::Replace(run, mark)) {
        return Ok(());
    }
    let now = app.clock.now();
    let attempt = record.close_run(run, mark, now) + 1;
    add_run(app, &mut tx, &mut record, (attempt, None)).await?;
    record.save(&mut tx, &Actor::System, None).await?;
    tx.commit().await?;
    Ok(())
}

/// A further agent is gone, or never came: that is all.
async fn close(
    app: &App,
    session: &Session,
    run: AgentRunId,
    mark: RunState,
) -> Result<(), SyncError> {
    let now = app.clock.now();
    change(app, session, |record| {
        if still_due(app, record, &Step::Close(run, mark)) {
            record.close_run(run, mark, now);
        }
    })
    .await
}

/// One call is over; what that means for the session follows.
async fn end_call(
    app: &App,
    session: &Session,
    step: &Step,
    call: CallId,
    event: CallEvent,
) -> Result<(), SyncError> {
    let now = app.clock.now();
    change(app, session, |record| {
        if still_due(app, record, step) {
            record.tell_call(call, &event, now);
        }
    })
    .await
}

pub(super) async fn change(
    app: &App,
    session: &Session,
    work: impl FnOnce(&mut Record),
) -> Result<(), SyncError> {
    let mut tx = app.db.begin(session.tenant_id).await?;
    if let Some(mut record) = Record::load(&mut tx, &app.clock, session.id).await? {
        work(&mut record);
        record.save(&mut tx, &Actor::System, None).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Aborts the process in tests, to prove that a crash at this point is repaired; or panics.
pub fn crash_here(app: &App, point: &str) {
    let Some(at) = app.settings.crash_at.as_deref() else {
        return;
    };
    match at.split_once(':') {
        None if at == point => std::process::abort(),
        Some(("panic", at)) if at == point => panic!("a planted fault"),
        _ => {}
    }
}

/// Brings back into view the sessions of ours that are over and yet have a room in LiveKit.
pub async fn sweep_rooms(app: &App) -> Result<(), SyncError> {
    let ours = ["s", "in"].map(|kind| format!("{}-{kind}-", app.settings.env));
    let rooms = app.livekit.list_rooms(Vec::new()).await?;
    let names: Vec<_> = rooms
        .into_iter()
        .map(|room| room.name)
        .filter(|name| ours.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    let mut connection = app.db.connection().await?;
    let ours = webhook_events::find_rooms(&mut connection, &names).await?;
    drop(connection);
    for room in ours {
        let mut tx = app.db.begin(room.tenant_id).await?;
        match Record::load(&mut tx, &app.clock, room.session_id).await? {
            Some(mut record) if record.session.state.is_terminal() => {
                record.session.room_deleted_at = None;
                record.save(&mut tx, &Actor::System, None).await?;
                let (subject, tenant) = (room.session_id.uuid(), Some(room.tenant_id));
                let now = app.clock.now();
                jobs::enqueue(&mut tx, jobs::SESSION, subject, tenant, now).await?;
                tx.commit().await?;
            }
            Some(_) => {}
            // The session has been erased; its room has no business being there.
            None => {
                tx.finish();
                // One room that resists must not keep the others.
                let _ = app.livekit.delete_room(&room.name).await;
            }
        }
    }
    app.job_due.notify_one();
    Ok(())
}
