//! Applies stored webhook events.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use patchbay_persistence::webhook_events::{self, Pending};

use super::Shutdown;
use crate::{Result, Service, faults::crash_here, panics::caught, sessions::room_events};

/// Events that are read at a time.
const BATCH: i64 = 64;
/// Pause before an event that could not be applied is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// An event that has crashed whatever applied it so often is left out.
const MOST_CRASHES: i32 = 10;
/// After this time an event that cannot be applied is left out.
const GIVE_UP: TimeDelta = TimeDelta::hours(1);

/// The loop: apply what is stored, oldest first, then wait for more.
pub async fn run(service: Arc<Service>, mut shutdown: Shutdown) {
    while !*shutdown.borrow() {
        match apply_pending(&service).await {
            Ok(BATCH) => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "webhook events wait"),
        }
        tokio::select! {
            () = service.event_stored.notified() => {}
            () = tokio::time::sleep(service.settings.jobs.poll) => {}
            _ = shutdown.changed() => {}
        }
    }
}

async fn apply_pending(service: &Service) -> Result<i64> {
    let mut connection = service.db.connection().await?;
    let pending = webhook_events::pending(&mut connection, service.clock.now(), BATCH).await?;
    drop(connection);
    let mut count = 0;
    for event in pending {
        count += 1;
        apply_one(service, event).await?;
    }
    Ok(count)
}

async fn leave_out(service: &Service, id: &str) -> Result<()> {
    let mut connection = service.db.connection().await?;
    webhook_events::mark_applied(&mut connection, id, service.clock.now()).await?;
    Ok(())
}

/// One event that fails must not hold the others up; it is tried again, and given up in the end, since
/// what it tells of people must not stay for ever.
async fn apply_one(service: &Service, pending: Pending) -> Result<()> {
    let Pending {
        id,
        received_at,
        payload,
    } = pending;
    let Ok(event) = serde_json::from_value(payload) else {
        // Its words would quote the event.
        tracing::error!(%id, "a stored event cannot be read; it is left out");
        return leave_out(service, &id).await;
    };
    // What always crashes is not tried for ever: the sessions' own jobs see what it would have told.
    let crashes = webhook_events::count_try(&mut *service.db.connection().await?, &id).await?;
    if crashes > MOST_CRASHES {
        tracing::error!(%id, "an event crashes whatever applies it; it is left out");
        return leave_out(service, &id).await;
    }
    let applied = caught(async {
        crash_here(service, "apply_event");
        room_events::apply(service, &event).await
    });
    let now = service.clock.now();
    let crashed = match applied.await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) if now - received_at > GIVE_UP => {
            tracing::error!(%id, %error, "an event could not be applied for an hour; it is left out");
            return leave_out(service, &id).await;
        }
        Ok(Err(error)) => {
            tracing::warn!(%id, %error, "an event could not be applied; it is tried again");
            false
        }
        Err(_) => true,
    };
    let mut connection = service.db.connection().await?;
    webhook_events::postpone(&mut connection, &id, now + RETRY, crashed).await?;
    Ok(())
}
