//! Create, read, start and stop calls.

use patchbay_domain::{AgentId, BindingId, CallId, Invalid, TenantId, call::CallEvent, session};
use patchbay_persistence::{TenantTx, bindings, calls, sessions};

use super::dto::{Call, CallFilter, CreateCall};
use crate::{
    answer::{Created, Entity, Page, Settled},
    audit::{Change, Event},
    compute::Turn,
    error::{ApiError, Code, Result},
    extract::{
        Caller, IdempotencyKey, Json, List, Path,
        scopes::{CallsAct, CallsRead, CallsWrite},
    },
    flows::{
        calls as flow,
        record::Record,
        sessions::{self as session_flow, NewSession, StopRequest},
    },
    once::Once,
    routes::sessions::{is_dispatched, is_over, locked},
};

/// The call with the record of its session, locked.
pub(super) async fn locked_call<P>(
    caller: &Caller<P>,
    tx: &mut TenantTx,
    id: CallId,
) -> Result<(calls::Call, Record)> {
    let call = calls::find(tx, id).await?;
    let call = call.ok_or_else(ApiError::not_found)?;
    let record = Record::load(tx, &caller.app.clock, call.session_id).await?;
    // Calls outlive their session, which is erased when it is over.
    let record = record.ok_or_else(|| ApiError::new(Code::CallOver, "Its session is erased."))?;
    // It may have changed before the lock was there.
    let current = record.call(id).cloned();
    Ok((current.unwrap_or(call), record))
}

pub(super) async fn read<P>(caller: &Caller<P>, id: CallId) -> Result<Call> {
    let mut tx = caller.read().await?;
    let found = calls::find(&mut tx, id).await?;
    tx.finish();
    Ok(found.ok_or_else(ApiError::not_found)?.into())
}

/// The agent that is named, or that has the binding that is named.
async fn agent_of(
    tx: &mut TenantTx,
    agent: Option<AgentId>,
    binding: Option<BindingId>,
) -> Result<AgentId> {
    match (agent, binding) {
        (Some(agent), _) => Ok(agent),
        (None, Some(binding)) => {
            let found = bindings::agent_of(tx, binding).await?;
            found.ok_or_else(ApiError::not_found)
        }
        (None, None) => {
            let invalid = Invalid::new("missing_field", "an agent or a binding is needed");
            Err(ApiError::invalid_at("/agent_id", invalid))
        }
    }
}

pub(super) async fn create(
    caller: Caller<CallsWrite>,
    Json(body): Json<CreateCall>,
    key: IdempotencyKey,
) -> Result<Once<Created<Call>>> {
    let tenant = caller.tenant()?;
    let start = body.start;
    let turn = caller.turn().await?;
    let answer = |value: Call| Created {
        location: format!("/api/tenants/{tenant}/calls/{}", value.id),
        value,
    };
    caller
        .once_then(
            &key,
            async |tx| {
                let Change { value, events } = insert(&caller, tx, body, turn).await?;
                let value = answer(value.into());
                Ok(Change { value, events })
            },
            async |made: Created<Call>| match start {
                true => {
                    let (session, id) = (made.value.session_id, made.value.id);
                    session_flow::settle(&caller.app, tenant, session, is_dispatched).await?;
                    Ok(answer(read(&caller, id).await?))
                }
                false => Ok(made),
            },
        )
        .await
}

/// The call, started where that was asked for.
async fn insert(
    caller: &Caller<CallsWrite>,
    tx: &mut TenantTx,
    body: CreateCall,
    turn: Turn,
) -> Result<Change<calls::Call>> {
    let line = body.line()?;
    let new = NewSession {
        agent_id: agent_of(tx, body.agent_id, body.binding_id).await?,
        binding_id: body.binding_id,
        variables: body.variables,
        metadata: body.metadata,
        call: None,
        room: None,
        turn,
    };
    let (session, call) = flow::create(&caller.app, tx, new, line).await?;
    // Numbers are personal: the trail has the ids.
    let after = serde_json::json!({ "session_id": session.id, "agent_id": session.agent_id });
    let event = Event::created("call", call.id, &after);
    if !body.start {
        return Ok(Change::one(call, event));
    }
    let mut record = locked(caller, tx, session.id).await?;
    record.note(event);
    session_flow::start(&caller.app, tx, &mut record).await?;
    let call = saved(caller, tx, record, call).await?;
    Ok(Change::none(call))
}

/// Stores the record; answers the call as it is now.
pub(super) async fn saved<P>(
    caller: &Caller<P>,
    tx: &mut TenantTx,
    record: Record,
    call: calls::Call,
) -> Result<calls::Call> {
    let current = record.call(call.id).cloned();
    record
        .save(tx, &caller.actor, Some(&caller.request))
        .await?;
    Ok(current.unwrap_or(call))
}

pub(super) async fn list(caller: Caller<CallsRead>, list: List<CallFilter>) -> Result<Page<Call>> {
    let mut tx = caller.read().await?;
    let rows = calls::list(&mut tx, list.window, (&list.filter).into()).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), Call::from))
}

pub(super) async fn get(
    caller: Caller<CallsRead>,
    Path((_, id)): Path<(TenantId, CallId)>,
) -> Result<Entity<Call>> {
    Ok(Entity(read(&caller, id).await?))
}

/// The call as it is, while LiveKit is asked.
fn pending(call: calls::Call) -> Change<Settled<Call>> {
    Change::none(Settled {
        value: call.into(),
        done: false,
    })
}

/// The call of a session that is erased: over, and nothing is left to be done.
async fn erased(tx: &mut TenantTx, id: CallId) -> Result<Change<Settled<Call>>> {
    let call = calls::find(tx, id).await?;
    let value = call.ok_or_else(ApiError::not_found)?.into();
    Ok(Change::none(Settled { value, done: true }))
}

pub(super) async fn start(
    caller: Caller<CallsWrite>,
    Path((tenant, id)): Path<(TenantId, CallId)>,
    key: IdempotencyKey,
) -> Result<Once<Settled<Call>>> {
    caller
        .once_then(
            &key,
            async |tx| {
                let (call, mut record) = locked_call(&caller, tx, id).await?;
                if call.state.is_terminal() {
                    return Err(ApiError::new(Code::CallOver, "A call starts once."));
                }
                session_flow::start(&caller.app, tx, &mut record).await?;
                Ok(pending(saved(&caller, tx, record, call).await?))
            },
            async |begun| settled(&caller, tenant, &begun.value, is_dispatched).await,
        )
        .await
}

pub(super) async fn stop(
    caller: Caller<CallsAct>,
    Path((tenant, id)): Path<(TenantId, CallId)>,
    key: IdempotencyKey,
) -> Result<Once<Settled<Call>>> {
    caller
        .once_then(
            &key,
            async |tx| {
                let (call, mut record) = match locked_call(&caller, tx, id).await {
                    Err(error) if error.is(Code::CallOver) => return erased(tx, id).await,
                    found => found?,
                };
                caller.require_live_if_suspended(record.session.state.is_live())?;
                hang_up(&caller, tx, &mut record, &call).await?;
                Ok(pending(saved(&caller, tx, record, call).await?))
            },
            async |stopped| match stopped.done || stopped.value.ends_alone() {
                true => Ok(Settled {
                    done: true,
                    ..stopped
                }),
                false => settled(&caller, tenant, &stopped.value, is_over).await,
            },
        )
        .await
}

/// Ends the session that was made for the call, or the call alone.
async fn hang_up<P>(
    caller: &Caller<P>,
    tx: &mut TenantTx,
    record: &mut Record,
    call: &calls::Call,
) -> Result<()> {
    let request = StopRequest {
        reason: None,
        error: None,
    };
    if call.is_primary && !call.state.is_terminal() {
        return session_flow::stop(&caller.app, tx, record, request).await;
    }
    let now = caller.app.clock.now();
    record.tell_call(call.id, &CallEvent::HangUp(session::reason::STOPPED), now);
    session_flow::enqueue(&caller.app, tx, record.session.id).await
}

/// The call once LiveKit has confirmed, or as it is when that takes too long.
async fn settled<P>(
    caller: &Caller<P>,
    tenant: TenantId,
    call: &Call,
    done: fn(&sessions::Session) -> bool,
) -> Result<Settled<Call>> {
    let (_, done) = session_flow::settle(&caller.app, tenant, call.session_id, done).await?;
    let value = read(caller, call.id).await?;
    Ok(Settled { value, done })
}
