//! Handlers of calls.

use patchbay_domain::{CallId, TenantId};
use patchbay_persistence::{TenantTx, calls, sessions};
use patchbay_service::{
    Code, Error, Result, UnitOfWork,
    audit::{Change, Event},
    compute::ComputePermit,
    idempotency::Idempotent,
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
    extract::{
        Caller, IdempotencyKey, Json, List, Path,
        scopes::{CallsAct, CallsRead, CallsWrite},
    },
    response::{Created, Entity, OkOrAccepted, Page},
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
) -> Result<Idempotent<Created<Call>>> {
    let tenant = caller.tenant()?;
    let start = body.start;
    let permit = caller.compute_permit().await?;
    let response = |value: Call| Created {
        location: format!("/api/tenants/{tenant}/calls/{}", value.id),
        value,
    };
    let create_call = async |unit: &mut UnitOfWork| {
        let change = insert(&caller, unit, body, permit).await?;
        Ok(change.map(|call| response(call.into())))
    };
    let wait = async |created_call: Created<Call>| match start {
        true => {
            let (session, id) = (created_call.value.session_id, created_call.value.id);
            wait_until(&caller.service, tenant, session, is_dispatched).await?;
            Ok(response(find(&caller, id).await?))
        }
        false => Ok(created_call),
    };
    caller.once_then(&key, create_call, wait).await
}

/// Creates the call, and starts it if requested.
async fn insert(
    caller: &Caller<CallsWrite>,
    unit: &mut UnitOfWork,
    body: CreateCall,
    permit: ComputePermit,
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
        permit,
    };
    let (session, call) = telephony::create(service, unit, new, outbound).await?;
    // Phone numbers are personal data, so the audit event has only ids.
    let after = json!({ "session_id": session.id, "agent_id": session.agent_id });
    let event = Event::created("call", call.id, &after);
    if !body.start {
        return Ok(Change::one(call, event));
    }
    let mut aggregate = SessionAggregate::require(unit, session.id).await?;
    aggregate.record_event(event);
    start::start(service, unit, &mut aggregate).await?;
    let call = telephony::save(unit, aggregate, call).await?;
    Ok(Change::without_events(call))
}

pub(super) async fn list(
    caller: Caller<CallsRead>,
    list: List<CallFilter, true>,
) -> Result<Page<Call>> {
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

/// The current call, with LiveKit yet to confirm the change.
fn pending(call: calls::Call) -> Change<OkOrAccepted<Call>> {
    Change::without_events(OkOrAccepted {
        value: call.into(),
        done: false,
    })
}

/// Returns the call of an erased session. It has ended, so there is nothing to stop.
async fn find_erased(tx: &mut TenantTx, id: CallId) -> Result<Change<OkOrAccepted<Call>>> {
    let call = calls::find(tx, id).await?;
    let value = call.ok_or_else(Error::not_found)?.into();
    Ok(Change::without_events(OkOrAccepted { value, done: true }))
}

pub(super) async fn start(
    caller: Caller<CallsWrite>,
    Path((tenant, id)): Path<(TenantId, CallId)>,
    key: IdempotencyKey,
) -> Result<Idempotent<OkOrAccepted<Call>>> {
    let start_call = async |unit: &mut UnitOfWork| {
        let (call, mut aggregate) = telephony::load(unit, id).await?;
        if call.state.is_terminal() {
            let detail = "The call has ended. A call can only be started once.";
            return Err(Error::new(Code::CallOver, detail));
        }
        start::start(&caller.service, unit, &mut aggregate).await?;
        Ok(pending(telephony::save(unit, aggregate, call).await?))
    };
    let wait = async |started: OkOrAccepted<Call>| {
        wait_for_livekit(&caller, tenant, &started.value, is_dispatched).await
    };
    caller.once_then(&key, start_call, wait).await
}

pub(super) async fn stop(
    caller: Caller<CallsAct>,
    Path((tenant, id)): Path<(TenantId, CallId)>,
    key: IdempotencyKey,
) -> Result<Idempotent<OkOrAccepted<Call>>> {
    let stop_call = async |unit: &mut UnitOfWork| {
        let (call, mut aggregate) = match telephony::load(unit, id).await {
            Err(error) if error.is(Code::CallOver) => return find_erased(unit, id).await,
            found => found?,
        };
        let is_live = aggregate.session.state.is_live();
        caller.origin.require_live_if_suspended(is_live)?;
        hang_up(&caller.service, unit, &mut aggregate, &call).await?;
        Ok(pending(telephony::save(unit, aggregate, call).await?))
    };
    let wait = async |stopped: OkOrAccepted<Call>| match stopped.done || stopped.value.is_attached()
    {
        true => Ok(OkOrAccepted {
            done: true,
            ..stopped
        }),
        false => wait_for_livekit(&caller, tenant, &stopped.value, is_over).await,
    };
    caller.once_then(&key, stop_call, wait).await
}

/// Waits until LiveKit has confirmed the change, with a timeout, and returns the current call.
async fn wait_for_livekit<P>(
    caller: &Caller<P>,
    tenant: TenantId,
    call: &Call,
    done: fn(&sessions::Session) -> bool,
) -> Result<OkOrAccepted<Call>> {
    let session = call.session_id;
    let (_, done) = wait_until(&caller.service, tenant, session, done).await?;
    let value = find(caller, call.id).await?;
    Ok(OkOrAccepted { value, done })
}
