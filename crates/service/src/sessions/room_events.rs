//! Applies LiveKit's webhook events to sessions. Events may arrive in any order and repeatedly.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::session::SessionState;
use patchbay_livekit::Event;
use patchbay_persistence::webhook_events::{self, Room};

use super::{aggregate::SessionAggregate, observed::ObservedParticipant};
use crate::{Result, Service, jobs::queue, telephony::claim};

/// Applies stored events of one room, in order, and marks them as applied, in one transaction. Returns whether the room is one
/// of this installation.
pub async fn apply(service: &Service, events: &[Event]) -> Result<bool> {
    let now = service.clock.now();
    let ids: Vec<_> = events.iter().map(|event| &*event.id).collect();
    let Some(room) = find_or_claim(service, events).await? else {
        // The events have no room, or their room on a shared LiveKit is not managed by this installation.
        let mut connection = service.db.connection().await?;
        webhook_events::mark_applied(&mut connection, &ids, now).await?;
        return Ok(false);
    };
    let mut unit = service.system_work(room.tenant_id).await?;
    let aggregate = SessionAggregate::load(&mut unit, room.session_id).await?;
    let new = webhook_events::mark_applied(&mut unit, &ids, now).await?;
    if new.is_empty() {
        return Ok(true);
    }
    if let Some(mut aggregate) = aggregate {
        for event in events.iter().filter(|event| new.contains(&event.id)) {
            apply_to_session(&mut aggregate, event, now);
        }
        aggregate.save(&mut unit).await?;
    }
    queue::enqueue_session(service, &mut unit, room.session_id).await?;
    unit.commit().await?;
    service.job_due.notify_one();
    Ok(true)
}

/// The tenant and session of the events' room. A room with an inbound call gets its session here, unless the worker was
/// faster.
async fn find_or_claim(service: &Service, events: &[Event]) -> Result<Option<Room>> {
    let Some(first) = events.first() else {
        return Ok(None);
    };
    if let Some(room) = find_room(service, first).await? {
        return Ok(Some(room));
    }
    for event in events {
        if let Some(room) = claim::claim_by_event(service, event).await? {
            return Ok(Some(room));
        }
    }
    Ok(None)
}

/// Finds the tenant and session of the event's room, if the room is known.
async fn find_room(service: &Service, event: &Event) -> Result<Option<Room>> {
    let Some(room) = &event.room else {
        return Ok(None);
    };
    let mut connection = service.db.connection().await?;
    let names = std::slice::from_ref(&room.name);
    let found = webhook_events::find_rooms(&mut connection, names).await?;
    Ok(found.into_iter().next())
}

/// When an event happened, as exactly as is known: LiveKit names the second in which it did, and it is over now.
fn time_of(event: &Event, now: DateTime<Utc>) -> DateTime<Utc> {
    let end_of_second = |second| second + TimeDelta::microseconds(999_999);
    event.at().map_or(now, end_of_second).min(now)
}

fn apply_to_session(aggregate: &mut SessionAggregate, event: &Event, now: DateTime<Utc>) {
    let sid = event.room.as_ref().map_or("", |room| &room.sid);
    let session = &mut aggregate.session;
    let room_is_active = matches!(&*event.event, "room_started" | "participant_joined");
    if session.state.is_terminal() && room_is_active {
        // A participant with an unexpired token has recreated the room: it must be deleted again.
        session.room_deleted_at = None;
    }
    if session.room_sid.is_none() && session.state == SessionState::Starting && !sid.is_empty() {
        session.room_sid = Some(sid.to_owned());
    }
    if session.room_sid.as_deref() != Some(sid) {
        return;
    }
    let at = time_of(event, now).max(session.created_at);
    let participant = event.participant.as_ref().map(|participant| {
        let observed = ObservedParticipant {
            sid: &participant.sid,
            identity: &participant.identity,
            name: &participant.name,
            kind: participant.kind(),
            attributes: &participant.attributes,
        };
        (observed, &*participant.disconnect_reason)
    });
    match (&*event.event, participant) {
        ("participant_joined", Some((observed, _))) => aggregate.record_joined(&observed, at),
        ("participant_left" | "participant_connection_aborted", Some((observed, reason))) => {
            aggregate.record_left(&observed, at, reason);
        }
        ("room_finished", _) => aggregate.record_room_closed(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_happened_within_the_second_that_livekit_names_and_not_later_than_now() {
        let at = |milliseconds| DateTime::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds);
        let event = |second: i64| {
            let json =
                serde_json::json!({ "id": "EV_1", "event": "room_started", "created_at": second });
            serde_json::from_value::<Event>(json).unwrap()
        };
        assert_eq!(
            time_of(&event(10), at(10_200)),
            at(10_200),
            "seen in its second"
        );
        let end = at(11_000) - TimeDelta::microseconds(1);
        assert_eq!(time_of(&event(10), at(12_500)), end, "seen later");
        assert_eq!(
            time_of(&event(20), at(10_200)),
            at(10_200),
            "of a clock that is fast"
        );
        assert_eq!(time_of(&event(0), at(10_200)), at(10_200), "without a time");
    }
}
