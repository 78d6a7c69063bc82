//! Claims of inbound calls. LiveKit creates the room and dispatches the agent of an inbound call by itself; a
//! claim then creates the session, once, whether the worker or the webhook comes first.

use patchbay_domain::{MappingId, TenantId};
use patchbay_livekit::{Event, room_without_caller};
use patchbay_persistence::{sip_objects, webhook_events::Room};

use super::{
    caller::{CallerInRoom, find_caller},
    inbound_call::{Claimant, ClaimedCall, record_call},
    sip_names::room_prefix,
};
use crate::{Code, Error, Result, Service, sessions::create::ExistingRoom};

/// Claims a call for the worker: finds the caller in the room and records the call once. The room of a rejected
/// call is deleted.
pub async fn claim(
    service: &Service,
    tenant: TenantId,
    mapping: MappingId,
    room: &str,
) -> Result<ClaimedCall> {
    let mut connection = service.db.connection().await?;
    let object = sip_objects::find(&mut connection, mapping.uuid()).await?;
    drop(connection);
    let object = object.filter(|object| object.tenant_id == tenant);
    let object = object.ok_or_else(Error::not_found)?;
    if !room.starts_with(&format!("{}_", room_prefix(service, mapping))) {
        return Err(Error::not_found());
    }
    let Some(rule) = object.rule_sid else {
        // The mapping was disabled or deleted in the meantime, so no agent will answer.
        service.livekit.delete_room(room).await?;
        return Err(Error::not_found());
    };
    let caller = find_caller(service, room, &rule).await?;
    let caller = caller.ok_or_else(Error::not_found)?;
    record_once(service, tenant, (mapping, Claimant::Worker), caller).await
}

/// Claims a call for a webhook event, and returns the room's tenant and session; `None` if the event is not an
/// inbound call.
pub async fn claim_by_event(service: &Service, event: &Event) -> Result<Option<Room>> {
    let (Some(room), Some(participant)) = (&event.room, &event.participant) else {
        return Ok(None);
    };
    let rule = participant.attributes.get("sip.ruleID");
    let Some(rule) = rule.filter(|_| &*event.event == "participant_joined") else {
        return Ok(None);
    };
    let mut connection = service.db.connection().await?;
    let object = sip_objects::of_rule(&mut connection, rule).await?;
    drop(connection);
    let Some(object) = object else {
        return Ok(None);
    };
    let caller = CallerInRoom {
        room: ExistingRoom {
            name: room.name.clone(),
            sid: room.sid.clone(),
        },
        identity: participant.identity.clone(),
        attributes: participant.attributes.clone(),
    };
    let mapping = MappingId::new(object.id);
    let claim = (mapping, Claimant::Webhook);
    match record_once(service, object.tenant_id, claim, caller).await {
        Ok(claimed) => Ok(Some(Room {
            name: room.name.clone(),
            tenant_id: object.tenant_id,
            session_id: claimed.session_id,
        })),
        // The room of a rejected call has been deleted.
        Err(error) if is_rejection(&error) => {
            let room = room_without_caller(&room.name);
            let code = error.code.name();
            tracing::info!(code, mapping_id = %mapping, %room, "an inbound call was rejected");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Records the call, or deletes its room if it is rejected.
async fn record_once(
    service: &Service,
    tenant: TenantId,
    claim: (MappingId, Claimant),
    caller: CallerInRoom,
) -> Result<ClaimedCall> {
    let room = caller.room.name.clone();
    let permit = service.compute.acquire(Some(tenant)).await?;
    let mut unit = service.system_work(tenant).await?;
    match record_call(service, (&mut unit, permit), claim, caller).await {
        Ok(claimed) => {
            unit.commit().await?;
            service.job_due.notify_one();
            Ok(claimed)
        }
        Err(error) => {
            unit.roll_back().await;
            if is_rejection(&error) {
                service.livekit.delete_room(&room).await?;
            }
            Err(error)
        }
    }
}

/// Whether the error rejects the call, instead of being worth a retry. Unreadable data stays unreadable, so it
/// rejects the call too.
fn is_rejection(error: &Error) -> bool {
    !error.is_server_fault() || error.is(Code::StoredDataUnreadable)
}
