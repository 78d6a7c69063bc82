//! Handlers of sessions.

use patchbay_domain::{
    SessionId, TenantId,
    text::{Detail, Word},
};
use patchbay_persistence::{participants, sessions, summaries, workers};
use patchbay_service::{
    Code, Error, Result, UnitOfWork,
    audit::{Change, Event},
    compute::ComputePermit,
    idempotency::Idempotent,
    sessions::{
        aggregate::SessionAggregate,
        create::{self, NewSession},
        erase::erase,
        start,
        stop::{self, StopRequest},
        wait::{is_dispatched, is_over, wait_until},
    },
    workers::alive_after,
};

use super::{
    dto::{CreateSession, Session, SessionFilter, StopSession},
    lookup,
    participant_dto::Participant,
};
use crate::{
    extract::{
        Caller, IdempotencyKey, IfMatch, Json, List, NoFilter, OptionalJson, Path,
        scopes::{SessionView, SessionsRead, SessionsStop, SessionsWrite},
    },
    response::{Created, Deleted, Entity, OkOrAccepted, Page},
};

pub(super) async fn create(
    caller: Caller<SessionsWrite>,
    Json(body): Json<CreateSession>,
    key: IdempotencyKey,
) -> Result<Idempotent<Created<Session>>> {
    let tenant = caller.tenant()?;
    let start = body.start;
    let permit = caller.compute_permit().await?;
    let to_response = |session: sessions::Session, availability| Created {
        location: format!("/api/tenants/{tenant}/sessions/{}", session.id),
        value: Session::created(session, availability),
    };
    let work = async |unit: &mut UnitOfWork| {
        let change = create_session(&caller, unit, body, permit).await?;
        let worker = &change.value.worker_name;
        let found = workers::availability(unit, worker, alive_after(&caller.service)).await?;
        Ok(change.map(|session| to_response(session, Some(found))))
    };
    let then = async |response: Created<Session>| match start {
        true => {
            let id = response.value.id;
            let (session, _) = wait_until(&caller.service, tenant, id, is_dispatched).await?;
            Ok(to_response(session, response.value.availability))
        }
        false => Ok(response),
    };
    caller.once_then(&key, work, then).await
}

/// Creates the session, and starts it if requested.
async fn create_session(
    caller: &Caller<SessionsWrite>,
    unit: &mut UnitOfWork,
    body: CreateSession,
    permit: ComputePermit,
) -> Result<Change<sessions::Session>> {
    let service = &caller.service;
    let new = NewSession {
        agent_id: body.agent_id,
        binding_id: body.binding_id,
        variables: body.variables,
        metadata: body.metadata,
        call: None,
        room: None,
        permit,
    };
    let session = create::create(service, unit, new).await?;
    let event = Event::created("session", session.id, &Session::from(session.clone()));
    if !body.start {
        return Ok(Change::one(session, event));
    }
    let mut aggregate = SessionAggregate::require(unit, session.id).await?;
    aggregate.record_event(event);
    start::start(service, unit, &mut aggregate).await?;
    Ok(Change::without_events(aggregate.save(unit).await?))
}

pub(super) async fn list(
    caller: Caller<SessionsRead>,
    list: List<SessionFilter, true>,
) -> Result<Page<Session>> {
    let filter = list.filter.try_into()?;
    let mut tx = caller.read().await?;
    let rows = sessions::list(&mut tx, list.window, filter).await?;
    let ids: Vec<_> = rows.rows.iter().map(|row| row.id).collect();
    let mut summaries = summaries::of_sessions(&mut tx, &ids).await?;
    tx.finish();
    let now = caller.service.clock.now();
    let map = |row: sessions::Session| {
        let summary = summaries.remove(&row.id);
        Session::read(row, summary, now)
    };
    Ok(Page::new(rows, |row| row.id.uuid(), map))
}

pub(super) async fn get(
    caller: Caller<SessionView>,
    Path((_, id)): Path<(TenantId, SessionId)>,
) -> Result<Entity<Session>> {
    let mut tx = caller.read().await?;
    let found = sessions::find(&mut tx, id).await?;
    let row = found.ok_or_else(Error::not_found)?;
    let summary = summaries::of_sessions(&mut tx, &[id]).await?.remove(&id);
    tx.finish();
    let session = Session::read(row, summary, caller.service.clock.now());
    Ok(Entity(match caller.is_client {
        true => session.for_client(),
        false => session,
    }))
}

pub(super) async fn delete(
    caller: Caller<SessionsWrite>,
    Path((_, id)): Path<(TenantId, SessionId)>,
    if_match: IfMatch,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            let found = sessions::lock(tx, id).await?;
            let row = found.ok_or_else(Error::not_found)?;
            if_match.check(row.revision)?;
            if !row.state.is_terminal() {
                let detail = "Stop the session before you delete it.";
                return Err(Error::new(Code::SessionLive, detail));
            }
            erase(tx, id).await?;
            let event = Event::deleted("session", id, &Session::from(row));
            Ok(Change::one(Deleted, event))
        })
        .await
}

/// The response while LiveKit has not confirmed.
fn pending(session: sessions::Session) -> Change<OkOrAccepted<Session>> {
    Change::without_events(OkOrAccepted {
        value: session.into(),
        done: false,
    })
}

pub(super) async fn start(
    caller: Caller<SessionsWrite>,
    Path((tenant, id)): Path<(TenantId, SessionId)>,
    key: IdempotencyKey,
) -> Result<Idempotent<OkOrAccepted<Session>>> {
    let work = async |unit: &mut UnitOfWork| {
        let mut aggregate = SessionAggregate::require(unit, id).await?;
        start::start(&caller.service, unit, &mut aggregate).await?;
        Ok(pending(aggregate.save(unit).await?))
    };
    let then = async |_| wait_for_confirmation(&caller, tenant, id, is_dispatched).await;
    caller.once_then(&key, work, then).await
}

pub(super) async fn stop(
    caller: Caller<SessionsStop>,
    Path((tenant, id)): Path<(TenantId, SessionId)>,
    OptionalJson(body): OptionalJson<StopSession>,
    key: IdempotencyKey,
) -> Result<Idempotent<OkOrAccepted<Session>>> {
    let request = StopRequest {
        reason: body.reason.map(Word::into_inner),
        error: body.error.map(Detail::into_inner),
    };
    let work = async |unit: &mut UnitOfWork| {
        let mut aggregate = SessionAggregate::require(unit, id).await?;
        let is_live = aggregate.session.state.is_live();
        caller.origin.require_live_if_suspended(is_live)?;
        stop::stop(&caller.service, unit, &mut aggregate, request).await?;
        Ok(pending(aggregate.save(unit).await?))
    };
    let then = async |_| wait_for_confirmation(&caller, tenant, id, is_over).await;
    caller.once_then(&key, work, then).await
}

/// Waits until LiveKit has confirmed; returns the session, also after a timeout.
async fn wait_for_confirmation<P>(
    caller: &Caller<P>,
    tenant: TenantId,
    id: SessionId,
    is_done: fn(&sessions::Session) -> bool,
) -> Result<OkOrAccepted<Session>> {
    let (session, done) = wait_until(&caller.service, tenant, id, is_done).await?;
    let value = session.into();
    Ok(OkOrAccepted { value, done })
}

pub(super) async fn participants(
    caller: Caller<SessionView>,
    Path((_, id)): Path<(TenantId, SessionId)>,
    list: List<NoFilter>,
) -> Result<Page<Participant>> {
    let mut tx = caller.read().await?;
    lookup::require(&mut tx, id).await?;
    let rows = participants::list(&mut tx, id, list.window).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), Participant::from))
}
