//! The periodic job that looks for rooms of ours in LiveKit whose session is over.

use patchbay_persistence::{
    VerifiedTenant,
    webhook_events::{self, Room},
};

use super::aggregate::SessionAggregate;
use crate::{
    Service,
    jobs::{error::JobError, queue},
};

/// Has the jobs of sessions that are over, and yet have a room in LiveKit, look at them.
pub async fn sweep(service: &Service) -> Result<(), JobError> {
    let ours = ["s", "in"].map(|kind| format!("{}-{kind}-", service.settings.env));
    let rooms = service.livekit.list_rooms(Vec::new()).await?;
    let names: Vec<_> = rooms
        .into_iter()
        .map(|room| room.name)
        .filter(|name| ours.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    let mut connection = service.db.connection().await?;
    let ours = webhook_events::find_rooms(&mut connection, &names).await?;
    drop(connection);
    for room in ours {
        look_at(service, &room).await?;
    }
    service.job_due.notify_one();
    Ok(())
}

async fn look_at(service: &Service, room: &Room) -> Result<(), JobError> {
    let mut unit = service.system_work(room.tenant_id).await?;
    match SessionAggregate::load(&mut unit, room.session_id).await? {
        Some(mut aggregate) if aggregate.session.state.is_terminal() => {
            aggregate.session.room_deleted_at = None;
            aggregate.save(&mut unit).await?;
            queue::session(service, &mut unit, room.session_id).await?;
            unit.commit().await?;
        }
        Some(_) => {}
        None => {
            let verified = unit.verify_tenant().await?;
            unit.finish();
            delete_erased(service, verified, room).await;
        }
    }
    Ok(())
}

/// Deletes the room of a session that has been erased. One that resists must not keep the others.
async fn delete_erased(service: &Service, _: VerifiedTenant, room: &Room) {
    if let Err(error) = service.livekit.delete_room(&room.name).await {
        tracing::warn!(
            error = error.summary(),
            "a room without a session could not be deleted"
        );
    }
}
