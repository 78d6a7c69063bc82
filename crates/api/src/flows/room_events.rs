//! What a webhook means for its session. In any order, any number of times.

use patchbay_domain::session::SessionState;
use patchbay_livekit::Event;
use patchbay_persistence::{jobs, webhook_events};

use super::{
    inbound,
    record::{Record, Seen},
};
use crate::{app::App, error::Result, extract::Actor};

/// Applies one stored event and marks it as applied, in one transaction.
pub async fn apply(app: &App, event: &Event) -> Result<()> {
    let room_name = event.room.as_ref().map(|room| room.name.clone());
    let mut connection = app.db.connection().await?;
    let room = match &room_name {
        Some(name) => {
            let found =
                webhook_events::find_rooms(&mut connection, std::slice::from_ref(name)).await?;
            found.into_iter().next()
        }
        None => None,
    };
    let now = app.clock.now();
    drop(connection);
    let room = match room {
        Some(room) => Some(room),
        None => inbound::claim_by_event(app, event).await?,
    };
    let Some(room) = room else {
        // Somebody else's room on a shared LiveKit, or an event without one.
        let mut connection = app.db.connection().await?;
        webhook_events::mark_applied(&mut connection, &event.id, now).await?;
        return Ok(());
    };
    let mut tx = app.db.begin(room.tenant_id).await?;
    if !webhook_events::mark_applied(&mut tx, &event.id, now).await? {
        return Ok(());
    }
    let record = Record::load(&mut tx, &app.clock, room.session_id).await?;
    if let Some(mut record) = record {
        note(&mut record, event, now);
        record.save(&mut tx, &Actor::System, None).await?;
    }
    let subject = room.session_id.uuid();
    jobs::enqueue(&mut tx, jobs::SESSION, subject, Some(room.tenant_id), now).await?;
    tx.commit().await?;
    app.job_due.notify_one();
    Ok(())
}

fn note(record: &mut Record, event: &Event, now: chrono::DateTime<chrono::Utc>) {
    let sid = event.room.as_ref().map_or("", |room| &room.sid);
    let session = &mut record.session;
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
        let seen = Seen {
            sid: &participant.sid,
            identity: &participant.identity,
            name: &participant.name,
            kind: participant.kind().as_str(),
            attributes: &participant.attributes,
        };
        (seen, &*participant.disconnect_reason)
    });
    match (&*event.event, participant) {
        ("participant_joined", Some((seen, _))) => record.joined(&seen, at),
        ("participant_left" | "participant_connection_aborted", Some((seen, reason))) => {
            record.left(&seen, at, reason);
        }
        ("room_finished", _) => record.room_closed(),
        _ => {}
    }
}
