//! Applies stored webhook events.

use std::{sync::Arc, time::Duration};

use patchbay_persistence::webhook_events;

use super::Shutdown;
use crate::{
    app::App,
    error::Result,
    flows::{room_events, sync::crash_here},
    panics::caught,
};

/// Events that are read at a time.
const BATCH: i64 = 64;
/// Pause before an event that could not be applied is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// An event that has crashed whatever applied it so often is left out.
const MOST_CRASHES: i32 = 10;

/// The loop: apply what is stored, oldest first, then wait for more.
pub async fn run(app: Arc<App>, mut shutdown: Shutdown) {
    while !*shutdown.borrow() {
        match apply_pending(&app).await {
            Ok(BATCH) => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "webhook events wait"),
        }
        tokio::select! {
            () = app.event_stored.notified() => {}
            () = tokio::time::sleep(app.settings.job_poll.into()) => {}
            _ = shutdown.changed() => {}
        }
    }
}

async fn apply_pending(app: &App) -> Result<i64> {
    let mut connection = app.db.connection().await?;
    let pending = webhook_events::pending(&mut connection, app.clock.now(), BATCH).await?;
    drop(connection);
    let mut count = 0;
    for (id, payload) in pending {
        count += 1;
        let event = match serde_json::from_value(payload) {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(%id, %error, "a stored event cannot be read; it is left out");
                leave_out(app, &id).await?;
                continue;
            }
        };
        // One event that fails must not hold the others up; it is tried again next time.
        let applied = caught(async {
            crash_here(app, "apply_event");
            room_events::apply(app, &event).await
        });
        match applied.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%id, %error, "an event could not be applied; it is tried again");
                let mut connection = app.db.connection().await?;
                let until = app.clock.now() + RETRY;
                webhook_events::postpone(&mut connection, &id, until).await?;
            }
            Err(_) => crashed(app, &id).await?,
        }
    }
    Ok(count)
}

async fn leave_out(app: &App, id: &str) -> Result<()> {
    let mut connection = app.db.connection().await?;
    webhook_events::mark_applied(&mut connection, id, app.clock.now()).await?;
    Ok(())
}

/// What always crashes is not tried for ever: the sessions' own jobs see what it would have told.
async fn crashed(app: &App, id: &str) -> Result<()> {
    let mut connection = app.db.connection().await?;
    let until = app.clock.now() + RETRY;
    let crashes = webhook_events::postpone_crashed(&mut connection, id, until).await?;
    drop(connection);
    if crashes >= MOST_CRASHES {
        tracing::error!(%id, crashes, "an event crashes whatever applies it; it is left out");
        leave_out(app, id).await?;
    }
    Ok(())
}
