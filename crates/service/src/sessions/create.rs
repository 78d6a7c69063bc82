//! Storing a session that runs what its agent's binding pins.

use patchbay_domain::{
    AgentId, BindingId, Metadata, RawJson, SessionId, prompt::Variables, session::SessionState,
    timeline::Facts,
};
use patchbay_persistence::{
    sessions::{self, Session},
    webhook_events::{self, Room},
};

use super::configuration::pin;
use crate::{Error, Result, Service, UnitOfWork, compute::Turn, timeline::Timeline};

/// A session to be created.
pub struct NewSession {
    /// Whose definition runs.
    pub agent_id: AgentId,
    /// A binding of the agent; the active one by default.
    pub binding_id: Option<BindingId>,
    /// Values of the prompt's variables.
    pub variables: Variables,
    /// The caller's own data.
    pub metadata: Metadata,
    /// How long the call may last that it is made for, if it is.
    pub call: Option<CallTimes>,
    /// The room, where a call in has made it already.
    pub room: Option<RoomInLiveKit>,
    /// The turn in which its configuration is worked out.
    pub turn: Turn,
}

/// A room that LiveKit has made.
pub struct RoomInLiveKit {
    /// Its name.
    pub name: String,
    /// LiveKit's id.
    pub sid: String,
}

/// The times of a call, in seconds.
#[derive(Clone, Copy)]
pub struct CallTimes {
    /// How long it may ring.
    pub ring: u32,
    /// How long it may last once it is answered; as the runtime config says by default.
    pub longest: Option<u32>,
    /// How long it may last in any case.
    pub cap: u32,
}

impl CallTimes {
    /// How long the session may last whose runtime config allows this long.
    fn of_session(self, runtime: u32) -> u32 {
        self.longest
            .unwrap_or(runtime)
            .min(self.cap)
            .saturating_add(self.ring)
    }
}

/// Stores a session that runs what its agent's binding pins.
pub async fn create(service: &Service, unit: &mut UnitOfWork, new: NewSession) -> Result<Session> {
    let pinned = pin(
        service,
        unit,
        &new.turn,
        (new.agent_id, new.binding_id),
        &new.variables,
    )
    .await?;
    // Others may compute while this is stored.
    drop(new.turn);
    let longest = pinned.max_duration_seconds;
    let longest = new.call.map_or(longest, |times| times.of_session(longest));
    let now = service.clock.now();
    let id: SessionId = service.clock.new_id();
    let (room_name, room_sid) = match new.room {
        Some(room) => (room.name, Some(room.sid)),
        None => (format!("{}-s-{id}", service.settings.env), None),
    };
    let session = Session {
        tenant_id: unit.tenant(),
        id,
        agent_id: pinned.agent.id,
        binding_id: pinned.binding_id,
        configuration_digest: pinned.digest,
        worker_name: pinned.agent.worker_name,
        state: SessionState::Created,
        end_reason: None,
        error_detail: None,
        last_error: None,
        room_name,
        room_sid,
        variables: RawJson::of(&new.variables).map_err(Error::internal)?,
        metadata: new.metadata,
        rendered_prompt: pinned.rendered.prompt,
        rendered_greeting: pinned.rendered.greeting,
        max_duration_seconds: i32::try_from(longest).unwrap_or(i32::MAX),
        revision: 1,
        created_at: now,
        starting_at: None,
        dispatched_at: None,
        running_at: None,
        stopping_at: None,
        ended_at: None,
        room_missing_since: None,
        room_deleted_at: None,
    };
    sessions::insert(unit, &session).await?;
    let room = Room {
        name: session.room_name.clone(),
        tenant_id: unit.tenant(),
        session_id: id,
    };
    webhook_events::insert_room(unit, &room).await?;
    let created = Timeline::one(id, now, "session.created", Facts::default());
    unit.append(created).await?;
    Ok(session)
}
