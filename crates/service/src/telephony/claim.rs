//! Claims of calls in. LiveKit has made a room and sent an agent there before anybody asked us; a claim
//! makes the session of it, once, whether the worker or a webhook comes first.

use patchbay_domain::{MappingId, TenantId};
use patchbay_livekit::{Event, room_without_caller};
use patchbay_persistence::{sip_objects, webhook_events::Room};

use super::{
    caller::{CallerInRoom, find_caller},
    inbound_call::{Claimed, record_call},
    sip_names::room_prefix,
};
use crate::{Code, Error, Result, Service, sessions::create::RoomInLiveKit};

/// The worker's claim: the caller is looked for in the room, the rest is recorded once. A call that
/// is refused loses its room.
pub async fn claim(
    service: &Service,
    tenant: TenantId,
    mapping: MappingId,
    room: &str,
) -> Result<Claimed> {
    let mut connection = service.db.connection().await?;
    let object = sip_objects::find(&mut connection, mapping.uuid()).await?;
    drop(connection);
    let object = object.filter(|object| object.tenant_id == tenant);
    let object = object.ok_or_else(Error::not_found)?;
    if !room.starts_with(&format!("{}_", room_prefix(service, mapping))) {
        return Err(Error::not_found());
    }
    let Some(rule) = object.rule_sid else {
        // The mapping was taken away just now: nobody will answer.
        service.livekit.delete_room(room).await?;
        return Err(Error::not_found());
    };
    let caller = find_caller(service, room, &rule).await?;
    let caller = caller.ok_or_else(Error::not_found)?;
    record_once(service, tenant, mapping, caller).await
}

/// The same when a webhook comes first: whose room it then is.
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
        room: RoomInLiveKit {
            name: room.name.clone(),
            sid: room.sid.clone(),
        },
        identity: participant.identity.clone(),
        attributes: participant.attributes.clone(),
    };
    let mapping = MappingId::new(object.id);
    match record_once(service, object.tenant_id, mapping, caller).await {
        Ok(claimed) => Ok(Some(Room {
            name: room.name.clone(),
            tenant_id: object.tenant_id,
            session_id: claimed.session_id,
        })),
        // It was refused, and its room is gone.
        Err(error) if refuses(&error) => {
            let room = room_without_caller(&room.name);
            let code = error.code.name();
            tracing::info!(code, mapping_id = %mapping, %room, "a call in was refused");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Records the call, or deletes the room of one that is refused.
async fn record_once(
    service: &Service,
    tenant: TenantId,
    mapping: MappingId,
    caller: CallerInRoom,
) -> Result<Claimed> {
    let room = caller.room.name.clone();
    let turn = service.compute.turn(Some(tenant)).await?;
    let mut unit = service.system_work(tenant).await?;
    match record_call(service, (&mut unit, turn), mapping, caller).await {
        Ok(claimed) => {
            unit.commit().await?;
            service.job_due.notify_one();
            Ok(claimed)
        }
        Err(error) => {
            // Nothing of it is kept.
            unit.roll_back().await;
            if refuses(&error) {
                service.livekit.delete_room(&room).await?;
            }
            Err(error)
        }
    }
}

/// Whether the call is refused by this, rather than to be tried again. What cannot be read stays so.
fn refuses(error: &Error) -> bool {
    !error.is_ours() || error.is(Code::StoredDataUnreadable)
}
