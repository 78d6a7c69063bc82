//! What a webhook means for its session. In any order, any number of times.

use chrono::{DateTime, Utc};
use patchbay_domain::session::SessionState;
use patchbay_livekit::Event;
use patchbay_persistence::webhook_events::{self, Room};

use super::{aggregate::SessionAggregate, observed::ObservedParticipant};
use crate::{Result, Service, jobs::queue, telephony::claim};

/// Applies one stored event and marks it as applied, in one transaction.
pub async fn apply(service: &Service, event: &Event) -> Result<()> {
    let now = service.clock.now();
    let room = match room_of(service, event).await? {
        Some(room) => Some(room),
        None => claim::claim_by_event(service, event).await?,
    };
    let Some(room) = room else {
        // Somebody else's room on a shared LiveKit, or an event without one.
        let mut connection = service.db.connection().await?;
        webhook_events::mark_applied(&mut connection, &event.id, now).await?;
        return Ok(());
    };
    let mut unit = service.system_work(room.tenant_id).await?;
    if !webhook_events::mark_applied(&mut unit, &event.id, now).await? {
        return Ok(());
    }
    let aggregate = SessionAggregate::load(&mut unit, room.session_id).await?;
    if let Some(mut aggregate) = aggregate {
        note(&mut aggregate, event, now);
        aggregate.save(&mut unit).await?;
    }
    queue::session(service, &mut unit, room.session_id).await?;
    unit.commit().await?;
    service.job_due.notify_one();
    Ok(())
}

/// Whose room the event is about, as far as it is known.
async fn room_of(service: &Service, event: &Event) -> Result<Option<Room>> {
    let Some(room) = &event.room else {
        return Ok(None);
    };
    let mut connection = service.db.connection().await?;
    let names = std::slice::from_ref(&room.name);
    let found = webhook_events::find_rooms(&mut connection, names).await?;
    Ok(found.into_iter().next())
}

fn note(aggregate: &mut SessionAggregate, event: &Event, now: DateTime<Utc>) {
    let sid = event.room.as_ref().map_or("", |room| &room.sid);
    let session = &mut aggregate.session;
    let appears = matches!(&*event.event, "room_started" | "participant_joined");
    if session.state.is_terminal() && appears {
        // An unexpired token has brought the room back: it is to be deleted once more.
        session.room_deleted_at = None;
    }
    if session.room_sid.is_none() && session.state == SessionState::Starting && !sid.is_empty() {
        session.room_sid = Some(sid.to_owned());
    }
    if session.room_sid.as_deref() != Some(sid) {
        return;
    }
    let at = event.at().unwrap_or(now).min(now);
    let participant = event.participant.as_ref().map(|participant| {
        let seen = ObservedParticipant {
            sid: &participant.sid,
            identity: &participant.identity,
            name: &participant.name,
            kind: participant.kind(),
            attributes: &participant.attributes,
        };
        (seen, &*participant.disconnect_reason)
    });
    match (&*event.event, participant) {
        ("participant_joined", Some((seen, _))) => aggregate.joined(&seen, at),
        ("participant_left" | "participant_connection_aborted", Some((seen, reason))) => {
            aggregate.left(&seen, at, reason);
        }
        ("room_finished", _) => aggregate.room_closed(),
        _ => {}
    }
}
