//! Applies stored webhook events. Processes share the rooms; within a room, one process works at a time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use futures_util::FutureExt as _;
use patchbay_livekit::Event;
use patchbay_persistence::webhook_events::{self, Claimed};
use tokio::task::JoinSet;

use super::Shutdown;
use crate::{
    Result, Service,
    faults::crash_here,
    instruments::{EventOutcome, record_event},
    panics::catch_panic,
    sessions::room_events,
};

/// Rooms whose events one process applies at a time. One that waits for LiveKit holds up no other, and all together leave
/// connections to the database for requests.
const MAX_ROOMS: usize = 8;
/// Number of crashes after which an event is discarded.
const MAX_CRASHES: i32 = 10;
/// Age after which an event that cannot be applied is discarded.
const MAX_AGE: TimeDelta = TimeDelta::hours(1);
/// Longest delay between two attempts of an event.
const MAX_BACKOFF: TimeDelta = TimeDelta::minutes(5);

/// Applies stored events, oldest first, and waits for more, until shutdown.
pub async fn run(service: Arc<Service>, mut shutdown: Shutdown) {
    let mut rooms = JoinSet::new();
    while !*shutdown.borrow() {
        while rooms.try_join_next().is_some() {}
        let free = MAX_ROOMS - rooms.len();
        let claimed = match free {
            0 => Vec::new(),
            free => claim(&service, free).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "webhook events could not be claimed");
                Vec::new()
            }),
        };
        let is_idle = claimed.is_empty();
        for events in claimed {
            let service = Arc::clone(&service);
            rooms.spawn(async move { apply_room(&service, events).await }.boxed());
        }
        if !is_idle {
            continue;
        }
        tokio::select! {
            Some(_) = rooms.join_next() => {}
            () = service.event_stored.notified(), if free > 0 => {}
            () = tokio::time::sleep(service.settings.jobs.poll) => {}
            _ = shutdown.changed() => {}
        }
    }
    // The events of rooms that take longer are claimed again when their leases expire.
    let _ = tokio::time::timeout(Duration::from_secs(10), rooms.join_all()).await;
}

/// Claims events, grouped by room.
async fn claim(service: &Service, rooms: usize) -> Result<Vec<Vec<Claimed>>> {
    let rooms = i64::try_from(rooms).unwrap_or_default();
    let (now, lease) = (service.clock.now(), service.settings.jobs.lease);
    let mut connection = service.db.connection().await?;
    let claimed = webhook_events::claim(&mut connection, now, lease, rooms).await?;
    let mut of_room: BTreeMap<String, Vec<Claimed>> = BTreeMap::new();
    for event in claimed {
        of_room.entry(event.room.clone()).or_default().push(event);
    }
    Ok(of_room.into_values().collect())
}

/// Applies the events of one room: together, and if that fails one after the other, so that one that cannot be applied
/// does not delay the others.
async fn apply_room(service: &Service, claimed: Vec<Claimed>) {
    let (mut readable, mut events) = (Vec::new(), Vec::new());
    for mut claimed in claimed {
        if let Some(event) = read(service, &mut claimed).await {
            readable.push(claimed);
            events.push(event);
        }
    }
    if events.len() > 1
        && let Ok(Ok(is_ours)) = apply(service, &events).await
    {
        let record = |claimed| record_applied(service, claimed, is_ours);
        readable.iter().for_each(record);
        return;
    }
    for (claimed, event) in readable.iter().zip(&events) {
        if let Err(error) = apply_one(service, claimed, event).await {
            // It is claimed again when its lease expires.
            tracing::warn!(id = claimed.id, %error, "the outcome of an event could not be stored");
        }
    }
}

/// Reads an event. One that cannot be read, or that crashed too often, is discarded: the job of its session observes the
/// room's state anyway, and the personal data in it must not be stored indefinitely.
async fn read(service: &Service, claimed: &mut Claimed) -> Option<Event> {
    let payload = claimed.payload.take();
    let id = &claimed.id;
    let reason = match serde_json::from_value(payload) {
        Ok(event) if claimed.crashes <= MAX_CRASHES => return Some(event),
        Ok(_) => "applying it crashed too many times",
        // The parse error is not logged, since it would quote the event.
        Err(_) => "it cannot be parsed",
    };
    tracing::error!(%id, reason, "a webhook event is discarded");
    if let Err(error) = discard(service, id).await {
        tracing::warn!(%id, %error, "a webhook event could not be discarded yet");
    }
    None
}

fn record_applied(service: &Service, claimed: &Claimed, is_ours: bool) {
    let lag = (service.clock.now() - claimed.received_at).to_std();
    record_event(match is_ours {
        true => EventOutcome::Applied(lag.unwrap_or_default()),
        false => EventOutcome::Foreign,
    });
}

async fn discard(service: &Service, id: &str) -> Result<()> {
    let mut connection = service.db.connection().await?;
    webhook_events::mark_applied(&mut connection, &[id], service.clock.now()).await?;
    record_event(EventOutcome::Dropped);
    Ok(())
}

async fn apply(
    service: &Service,
    events: &[Event],
) -> std::result::Result<Result<bool>, crate::panics::Panicked> {
    let applied = async {
        crash_here(service, "apply_event");
        room_events::apply(service, events).await
    };
    catch_panic(applied).await
}

/// Applies one event. One that fails is retried with growing delays, and discarded in the end.
async fn apply_one(service: &Service, claimed: &Claimed, event: &Event) -> Result<()> {
    let id = &claimed.id;
    let applied = apply(service, std::slice::from_ref(event)).await;
    let now = service.clock.now();
    let crashed = match applied {
        Ok(Ok(is_ours)) => {
            record_applied(service, claimed, is_ours);
            return Ok(());
        }
        Ok(Err(error)) if now - claimed.received_at > MAX_AGE => {
            tracing::error!(%id, %error, "an event could not be applied for an hour; it is discarded");
            return discard(service, id).await;
        }
        Ok(Err(error)) => {
            tracing::warn!(%id, %error, "an event could not be applied; it will be retried");
            false
        }
        Err(_) => true,
    };
    record_event(EventOutcome::Failed);
    let until = now + backoff(claimed.attempts);
    let mut connection = service.db.connection().await?;
    webhook_events::postpone(&mut connection, id, until, crashed).await?;
    Ok(())
}

/// Delay before the next attempt: 1 s, doubled with every attempt, up to [`MAX_BACKOFF`].
fn backoff(attempts: i32) -> TimeDelta {
    TimeDelta::seconds(1 << attempts.clamp(0, 10)).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_cannot_be_applied_comes_back_less_and_less_often() {
        let delays: Vec<_> = (0..12).map(|n| backoff(n).num_seconds()).collect();
        assert_eq!(delays[..5], [1, 2, 4, 8, 16]);
        assert_eq!(delays[11], MAX_BACKOFF.num_seconds());
        let within_an_hour = delays.iter().sum::<i64>() < MAX_AGE.num_seconds();
        assert!(
            within_an_hour,
            "it is tried often enough before it is discarded"
        );
        assert_eq!(backoff(i32::MAX), MAX_BACKOFF);
    }
}
