//! Create, read, start and stop calls.

use patchbay_domain::{CallId, TenantId};
use patchbay_persistence::{TenantTx, calls, sessions};
use patchbay_service::{
    Code, Error, Result, UnitOfWork,
    audit::{Change, Event},
    compute::Turn,
    idempotency::Once,
    sessions::{
        aggregate::SessionAggregate,
        create::NewSession,
        start,
        wait::{is_dispatched, is_over, wait_until},
    },
    telephony::{calls as telephony, hang_up::hang_up},
};
use serde_json::json;

use super::dto::{Call, CallFilter, CreateCall};
use crate::{
    answer::{Created, Entity, Page, Settled},
    extract::{
        Caller, IdempotencyKey, Json, List, Path,
        scopes::{CallsAct, CallsRead, CallsWrite},
    },
};

async fn find<P>(caller: &Caller<P>, id: CallId) -> Result<Call> {
    let mut tx = caller.read().await?;
    let found = calls::find(&mut tx, id).await?;
    tx.finish();
    Ok(found.ok_or_else(Error::not_found)?.into())
}

pub(super) async fn create(
    caller: Caller<CallsWrite>,
    Json(body): Json<CreateCall>,
    key: IdempotencyKey,
) -> Result<Once<Created<Call>>> {
    let tenant = caller.tenant()?;
    let start = body.start;
    let turn = caller.turn().await?;
    let created = |value: Call| Created {
        location: format!("/api/tenants/{tenant}/calls/{}", value.id),
        value,
    };
    let work = async |unit: &mut UnitOfWork| {
        let change = insert(&caller, unit, body, turn).await?;
        Ok(change.map(|call| created(call.into())))
    };
    let then = async |made: Created<Call>| match start {
        true => {
            let (session, id) = (made.value.session_id, made.value.id);
            wait_until(&caller.service, tenant, session, is_dispatched).await?;
            Ok(created(find(&caller, id).await?))
        }
        false => Ok(made),
    };
    caller.once_then(&key, work, then).await
}

/// The call, started where that was asked for.
async fn insert(
    caller: &Caller<CallsWrite>,
    unit: &mut UnitOfWork,
    body: CreateCall,
    turn: Turn,
) -> Result<Change<calls::Call>> {
    let service = &caller.service;
    let outbound = body.outbound_call()?;
    let new = NewSession {
        agent_id: telephony::agent_of(unit, body.agent_id, body.binding_id).await?,
        binding_id: body.binding_id,
        variables: body.variables,
        metadata: body.metadata,
        call: None,
        room: None,
        turn,
    };
    let (session, call) = telephony::create(service, unit, new, outbound).await?;
    // Numbers are personal: the trail has the ids.
    let after = json!({ "session_id": session.id, "agent_id": session.agent_id });
    let event = Event::created("call", call.id, &after);
    if !body.start {
        return Ok(Change::one(call, event));
    }
    let mut aggregate = SessionAggregate::require(unit, session.id).await?;
    aggregate.note(event);
    start::start(service, unit, &mut aggregate).await?;
    let call = telephony::save(unit, aggregate, call).await?;
    Ok(Change::none(call))
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
    Ok(Entity(find(&caller, id).await?))
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
    let value = call.ok_or_else(Error::not_found)?.into();
    Ok(Change::none(Settled { value, done: true }))
}

pub(super) async fn start(
    caller: Caller<CallsWrite>,
    Path((tenant, id)): Path<(TenantId, CallId)>,
    key: IdempotencyKey,
) -> Result<Once<Settled<Call>>> {
    let work = async |unit: &mut UnitOfWork| {
        let (call, mut aggregate) = telephony::load(unit, id).await?;
        if call.state.is_terminal() {
            return Err(Error::new(Code::CallOver, "A call starts once."));
        }
        start::start(&caller.service, unit, &mut aggregate).await?;
        Ok(pending(telephony::save(unit, aggregate, call).await?))
    };
    let then =
        async |begun: Settled<Call>| settled(&caller, tenant, &begun.value, is_dispatched).await;
    caller.once_then(&key, work, then).await
}

pub(super) async fn stop(
    caller: Caller<CallsAct>,
    Path((tenant, id)): Path<(TenantId, CallId)>,
    key: IdempotencyKey,
) -> Result<Once<Settled<Call>>> {
    let work = async |unit: &mut UnitOfWork| {
        let (call, mut aggregate) = match telephony::load(unit, id).await {
            Err(error) if error.is(Code::CallOver) => return erased(unit, id).await,
            found => found?,
        };
        let is_live = aggregate.session.state.is_live();
        caller.origin.require_live_if_suspended(is_live)?;
        hang_up(&caller.service, unit, &mut aggregate, &call).await?;
        Ok(pending(telephony::save(unit, aggregate, call).await?))
    };
    let then = async |stopped: Settled<Call>| match stopped.done || stopped.value.ends_alone() {
        true => Ok(Settled {
            done: true,
            ..stopped
        }),
        false => settled(&caller, tenant, &stopped.value, is_over).await,
    };
    caller.once_then(&key, work, then).await
}

/// The call once LiveKit has confirmed, or as it is when that takes too long.
async fn settled<P>(
    caller: &Caller<P>,
    tenant: TenantId,
    call: &Call,
    done: fn(&sessions::Session) -> bool,
) -> Result<Settled<Call>> {
    let session = call.session_id;
    let (_, done) = wait_until(&caller.service, tenant, session, done).await?;
    let value = find(caller, call.id).await?;
    Ok(Settled { value, done })
}
