//! The periodic job that finds rooms in LiveKit whose session is over.

use std::collections::HashMap;

use patchbay_domain::TenantId;
use patchbay_persistence::{
    VerifiedTenant, sessions,
    webhook_events::{self, Room},
};

use super::aggregate::SessionAggregate;
use crate::{
    Service,
    jobs::{error::JobError, queue},
};

/// Number of rooms that are compared with the database together.
const PAGE: usize = 500;

/// Enqueues the jobs of sessions that are over but still have a room in LiveKit, and deletes rooms whose
/// sessions have been erased.
pub async fn sweep(service: &Service) -> Result<(), JobError> {
    let prefixes = ["s", "in"].map(|kind| format!("{}-{kind}-", service.settings.env));
    let rooms = service.livekit.list_rooms(Vec::new()).await?;
    let names: Vec<_> = rooms
        .into_iter()
        .map(|room| room.name)
        .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    for page in names.chunks(PAGE) {
        sweep_page(service, page).await?;
    }
    service.job_due.notify_one();
    Ok(())
}

/// Compares a page of rooms with the sessions' states, which are read per tenant. Only a room that should not be there
/// costs more.
async fn sweep_page(service: &Service, names: &[String]) -> Result<(), JobError> {
    let mut connection = service.db.connection().await?;
    let rooms = webhook_events::find_rooms(&mut connection, names).await?;
    drop(connection);
    let mut of_tenant: HashMap<TenantId, Vec<Room>> = HashMap::new();
    for room in rooms {
        of_tenant.entry(room.tenant_id).or_default().push(room);
    }
    for (tenant, rooms) in of_tenant {
        if let Err(error) = sweep_rooms(service, tenant, rooms).await {
            // The rooms of other tenants are not affected.
            tracing::warn!(%error, %tenant, "a tenant's rooms could not be compared with its sessions");
        }
    }
    Ok(())
}

async fn sweep_rooms(
    service: &Service,
    tenant: TenantId,
    rooms: Vec<Room>,
) -> Result<(), JobError> {
    let ids: Vec<_> = rooms.iter().map(|room| room.session_id).collect();
    let mut tx = service.db.begin(tenant).await?;
    let states = sessions::states(&mut tx, &ids).await?;
    tx.finish();
    for room in rooms {
        let state = states.get(&room.session_id);
        if state.is_none_or(|state| state.is_terminal()) {
            sweep_room(service, &room).await?;
        }
    }
    Ok(())
}

async fn sweep_room(service: &Service, room: &Room) -> Result<(), JobError> {
    let mut unit = service.system_work(room.tenant_id).await?;
    match SessionAggregate::load(&mut unit, room.session_id).await? {
        Some(mut aggregate) if aggregate.session.state.is_terminal() => {
            aggregate.session.room_deleted_at = None;
            aggregate.save(&mut unit).await?;
            queue::enqueue_session(service, &mut unit, room.session_id).await?;
            unit.commit().await?;
        }
        Some(_) => {}
        None => {
            let verified = unit.verify_tenant().await?;
            unit.finish();
            delete_room_of_erased_session(service, verified, room).await;
        }
    }
    Ok(())
}

/// Deletes the room of an erased session. A failure is only logged, so that the other rooms are processed.
async fn delete_room_of_erased_session(service: &Service, _: VerifiedTenant, room: &Room) {
    if let Err(error) = service.livekit.delete_room(&room.name).await {
        tracing::warn!(
            error = error.summary(),
            "a room without a session could not be deleted"
        );
    }
}
