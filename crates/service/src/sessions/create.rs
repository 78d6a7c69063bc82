//! Creates sessions.

use patchbay_domain::{
    AgentId, BindingId, Metadata, RawJson, SessionId,
    prompt::Variables,
    session::SessionState,
    timeline::{EventKind, Facts},
};
use patchbay_persistence::{
    sessions::{self, Session},
    webhook_events::{self, Room},
};

use super::configuration::pin_configuration;
use crate::{Error, Result, Service, UnitOfWork, compute::ComputePermit, timeline::Timeline};

/// A session to be created.
pub struct NewSession {
    /// Agent that the session runs.
    pub agent_id: AgentId,
    /// Binding of the agent; the active one by default.
    pub binding_id: Option<BindingId>,
    /// Values of the prompt's variables.
    pub variables: Variables,
    /// The client's own data.
    pub metadata: Metadata,
    /// Durations of the primary call, if the session is created for one.
    pub call: Option<CallDurations>,
    /// The room, if LiveKit has already created it for an inbound call.
    pub room: Option<ExistingRoom>,
    /// Permit under which the configuration is computed.
    pub permit: ComputePermit,
}

/// A room that already exists in LiveKit.
pub struct ExistingRoom {
    /// Name of the room.
    pub name: String,
    /// LiveKit's id of the room.
    pub sid: String,
}

/// Maximum durations of a call, in seconds.
#[derive(Clone, Copy)]
pub struct CallDurations {
    /// Maximum time that it may ring.
    pub ring: u32,
    /// Maximum duration after it is answered; the runtime config's limit by default.
    pub max: Option<u32>,
    /// Upper limit of the duration after it is answered.
    pub cap: u32,
}

impl CallDurations {
    /// Maximum duration of the call's session, given the runtime config's limit.
    fn max_session_duration(self, runtime_limit: u32) -> u32 {
        self.max
            .unwrap_or(runtime_limit)
            .min(self.cap)
            .saturating_add(self.ring)
    }
}

/// Creates a session with the configuration of its agent's binding.
pub async fn create(service: &Service, unit: &mut UnitOfWork, new: NewSession) -> Result<Session> {
    let pinned = pin_configuration(
        service,
        unit,
        &new.permit,
        (new.agent_id, new.binding_id),
        &new.variables,
    )
    .await?;
    // Releases the permit, so that other requests can compute while the session is stored.
    drop(new.permit);
    let runtime_limit = pinned.max_duration_seconds;
    let max_duration = new.call.map_or(runtime_limit, |durations| {
        durations.max_session_duration(runtime_limit)
    });
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
        max_duration_seconds: i32::try_from(max_duration).unwrap_or(i32::MAX),
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
    let created = Timeline::one(id, now, EventKind::SessionCreated, Facts::default());
    unit.append(created).await?;
    Ok(session)
}
