//! Create, read, start, stop and erase sessions.

use patchbay_domain::{
    SessionId, TenantId,
    call::Direction,
    session::SessionState,
    text::{Detail, Word},
};
use patchbay_persistence::{
    TenantTx, calls, idempotency, participants, sessions, usage, webhook_events,
};

use super::{
    dto::{CreateSession, Participant, Session, SessionFilter, StopSession},
    locked,
};
use crate::{
    answer::{Created, Deleted, Entity, Page, Settled},
    audit::{Change, Event},
    compute::Turn,
    error::{ApiError, Code, Result},
    extract::{
        Caller, IdempotencyKey, IfMatch, Json, List, NoFilter, OptionalJson, Path,
        scopes::{SessionsRead, SessionsStop, SessionsWrite},
    },
    flows::sessions::{self as flow, NewSession, StopRequest},
    once::Once,
};

pub(crate) fn is_dispatched(session: &sessions::Session) -> bool {
    session.state != SessionState::Starting || session.dispatched_at.is_some()
}

pub(crate) fn is_over(session: &sessions::Session) -> bool {
    session.state.is_terminal()
}

pub(super) async fn create(
    caller: Caller<SessionsWrite>,
    Json(body): Json<CreateSession>,
    key: IdempotencyKey,
) -> Result<Once<Created<Session>>> {
    let tenant = caller.tenant()?;
    let start = body.start;
    let turn = caller.turn().await?;
    let answer = |session: sessions::Session| Created {
        location: format!("/api/tenants/{tenant}/sessions/{}", session.id),
        value: session.into(),
    };
    caller
        .once_then(
            &key,
            async |tx| {
                let Change { value, events } = insert(&caller, tx, body, turn).await?;
                Ok(Change {
                    value: answer(value),
                    events,
                })
            },
            async |made: Created<Session>| match start {
                true => {
                    let id = made.value.id;
                    let (session, _) = flow::settle(&caller.app, tenant, id, is_dispatched).await?;
                    Ok(answer(session))
                }
                false => Ok(made),
            },
        )
        .await
}

/// The session, started where that was asked for.
async fn insert(
    caller: &Caller<SessionsWrite>,
    tx: &mut TenantTx,
    body: CreateSession,
    turn: Turn,
) -> Result<Change<sessions::Session>> {
    let new = NewSession {
        agent_id: body.agent_id,
        binding_id: body.binding_id,
        variables: body.variables,
        metadata: body.metadata,
        call: None,
        room: None,
        turn,
    };
    let session = flow::create(&caller.app, tx, new).await?;
    let event = Event::created("session", session.id, &Session::from(session.clone()));
    if !body.start {
        return Ok(Change::one(session, event));
    }
    let mut record = locked(caller, tx, session.id).await?;
    record.note(event);
    flow::start(&caller.app, tx, &mut record).await?;
    let saved = record
        .save(tx, &caller.actor, Some(&caller.request))
        .await?;
    Ok(Change::none(saved))
}

pub(super) async fn list(
    caller: Caller<SessionsRead>,
    list: List<SessionFilter>,
) -> Result<Page<Session>> {
    let mut tx = caller.read().await?;
    let SessionFilter {
        state,
        agent_id,
        end_reason,
        from,
        to,
    } = &list.filter;
    let filter = sessions::Filter {
        state: *state,
        agent_id: *agent_id,
        end_reason: end_reason.clone(),
        from: *from,
        to: *to,
    };
    let rows = sessions::list(&mut tx, list.window, filter).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), Session::from))
}

pub(super) async fn get(
    caller: Caller<SessionsRead>,
    Path((_, id)): Path<(TenantId, SessionId)>,
) -> Result<Entity<Session>> {
    let mut tx = caller.read().await?;
    let found = sessions::find(&mut tx, id, false).await?;
    tx.finish();
    Ok(Entity(found.ok_or_else(ApiError::not_found)?.into()))
}

pub(super) async fn delete(
    caller: Caller<SessionsWrite>,
    Path((tenant, id)): Path<(TenantId, SessionId)>,
    if_match: IfMatch,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            let found = sessions::find(tx, id, true).await?;
            let row = found.ok_or_else(ApiError::not_found)?;
            if_match.check(row.revision)?;
            if !row.state.is_terminal() {
                let detail = "Stop the session first.";
                return Err(ApiError::new(Code::SessionLive, detail));
            }
            erase(tx, tenant, id).await?;
            let event = Event::deleted("session", id, &Session::from(row));
            Ok(Change::one(Deleted, event))
        })
        .await
}

/// Erases a session with all that it has left elsewhere.
async fn erase(tx: &mut TenantTx, tenant: TenantId, id: SessionId) -> Result<()> {
    let calls = calls::of_session(tx, id).await?;
    let is_inbound = |call: &calls::Call| call.direction == Direction::Inbound;
    if calls.iter().any(is_inbound) {
        webhook_events::hide_rooms(tx, id).await?;
    }
    calls::erase_people(tx, id).await?;
    usage::forget_reports(tx, id).await?;
    sessions::delete(tx, id).await?;
    idempotency::erase(tx, &format!("/api/tenants/{tenant}/sessions/{id}")).await?;
    for call in calls {
        let path = format!("/api/tenants/{tenant}/calls/{}", call.id);
        idempotency::erase(tx, &path).await?;
    }
    Ok(())
}

/// The session as it is, while LiveKit is asked.
fn pending(session: sessions::Session) -> Change<Settled<Session>> {
    Change::none(Settled {
        value: session.into(),
        done: false,
    })
}

pub(super) async fn start(
    caller: Caller<SessionsWrite>,
    Path((tenant, id)): Path<(TenantId, SessionId)>,
    key: IdempotencyKey,
) -> Result<Once<Settled<Session>>> {
    let (actor, request) = (&caller.actor, Some(&caller.request));
    caller
        .once_then(
            &key,
            async |tx| {
                let mut record = locked(&caller, tx, id).await?;
                flow::start(&caller.app, tx, &mut record).await?;
                Ok(pending(record.save(tx, actor, request).await?))
            },
            async |_| settled(&caller, tenant, id, is_dispatched).await,
        )
        .await
}

pub(super) async fn stop(
    caller: Caller<SessionsStop>,
    Path((tenant, id)): Path<(TenantId, SessionId)>,
    OptionalJson(body): OptionalJson<StopSession>,
    key: IdempotencyKey,
) -> Result<Once<Settled<Session>>> {
    let stop = StopRequest {
        reason: body.reason.map(Word::into_inner),
        error: body.error.map(Detail::into_inner),
    };
    let (actor, request) = (&caller.actor, Some(&caller.request));
    caller
        .once_then(
            &key,
            async |tx| {
                let mut record = locked(&caller, tx, id).await?;
                caller.require_live_if_suspended(record.session.state.is_live())?;
                flow::stop(&caller.app, tx, &mut record, stop).await?;
                Ok(pending(record.save(tx, actor, request).await?))
            },
            async |_| settled(&caller, tenant, id, is_over).await,
        )
        .await
}

/// The session once LiveKit has confirmed, or as it is when that takes too long.
async fn settled<P>(
    caller: &Caller<P>,
    tenant: TenantId,
    id: SessionId,
    done: fn(&sessions::Session) -> bool,
) -> Result<Settled<Session>> {
    let (session, done) = flow::settle(&caller.app, tenant, id, done).await?;
    let value = session.into();
    Ok(Settled { value, done })
}

pub(super) async fn participants(
    caller: Caller<SessionsRead>,
    Path((_, id)): Path<(TenantId, SessionId)>,
    list: List<NoFilter>,
) -> Result<Page<Participant>> {
    let mut tx = caller.read().await?;
    super::require(&mut tx, id).await?;
    let rows = participants::list(&mut tx, id, list.window).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), Participant::from))
}
