//! Applies stored webhook events.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use patchbay_persistence::webhook_events::{self, Pending};

use super::Shutdown;
use crate::{Result, Service, faults::crash_here, panics::catch_panic, sessions::room_events};

/// Events per batch.
const BATCH: i64 = 64;
/// Delay before an event that could not be applied is retried.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// Number of crashes after which an event is discarded.
const MAX_CRASHES: i32 = 10;
/// Age after which an event that cannot be applied is discarded.
const MAX_AGE: TimeDelta = TimeDelta::hours(1);

/// Applies stored events, oldest first, and waits for more, until shutdown.
pub async fn run(service: Arc<Service>, mut shutdown: Shutdown) {
    while !*shutdown.borrow() {
        match apply_pending(&service).await {
            Ok(BATCH) => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "webhook events could not be applied"),
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

async fn discard(service: &Service, id: &str) -> Result<()> {
    let mut connection = service.db.connection().await?;
    webhook_events::mark_applied(&mut connection, id, service.clock.now()).await?;
    Ok(())
}

/// Applies one event. An event that fails must not delay the others. It is retried, and discarded in the end,
/// since the personal data in it must not be stored indefinitely.
async fn apply_one(service: &Service, pending: Pending) -> Result<()> {
    let Pending {
        id,
        received_at,
        payload,
    } = pending;
    let Ok(event) = serde_json::from_value(payload) else {
        // The parse error is not logged, since it would quote the event.
        tracing::error!(%id, "a stored event cannot be parsed; it is discarded");
        return discard(service, &id).await;
    };
    // An event that always crashes is discarded: the job of its session observes the room's state anyway.
    let crashes = webhook_events::count_try(&mut *service.db.connection().await?, &id).await?;
    if crashes > MAX_CRASHES {
        tracing::error!(%id, "applying an event crashed too many times; it is discarded");
        return discard(service, &id).await;
    }
    let applied = catch_panic(async {
        crash_here(service, "apply_event");
        room_events::apply(service, &event).await
    });
    let now = service.clock.now();
    let crashed = match applied.await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) if now - received_at > MAX_AGE => {
            tracing::error!(%id, %error, "an event could not be applied for an hour; it is discarded");
            return discard(service, &id).await;
        }
        Ok(Err(error)) => {
            tracing::warn!(%id, %error, "an event could not be applied; it will be retried");
            false
        }
        Err(_) => true,
    };
    let mut connection = service.db.connection().await?;
    webhook_events::postpone(&mut connection, &id, now + RETRY_DELAY, crashed).await?;
    Ok(())
}
