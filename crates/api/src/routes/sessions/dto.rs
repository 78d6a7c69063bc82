//! What goes over the wire about sessions.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    AgentId, AgentRunId, BindingId, CallId, Metadata, ParticipantId, RawJson, SessionId, TenantId,
    call::{AnswerDetection, Direction},
    clock,
    configuration::Configuration,
    prompt::Variables,
    session::{RunState, SessionState},
    text::{Detail, Word},
};
use patchbay_persistence::{calls, participants, runs, sessions};
use patchbay_service::sessions::run_configuration::RunConfiguration;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::Resource;

/// A session.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f60",
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20",
    "binding_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f40",
    "configuration_digest": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "state": "running",
    "end_reason": null,
    "error_detail": null,
    "last_error": null,
    "room_name": "dev-s-0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f60",
    "room_sid": "RM_abc",
    "variables": {"company": "Acme"},
    "metadata": {},
    "max_duration_seconds": 600,
    "revision": 3,
    "created_at": "2026-11-23T20:00:00Z",
    "starting_at": "2026-11-23T20:00:00Z",
    "dispatched_at": "2026-11-23T20:00:00Z",
    "running_at": "2026-11-23T20:00:01Z",
    "stopping_at": null,
    "ended_at": null
}))]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// Whose definition runs; the agent may have been deleted since.
    agent_id: AgentId,
    /// The binding that was resolved; it may have been deleted since.
    binding_id: BindingId,
    /// Digest of the configuration that runs.
    #[schema(max_length = 64)]
    configuration_digest: String,
    /// Where it stands.
    state: SessionState,
    /// Why it is over or stopping: `completed`, `abandoned`, `stopped`, `canceled`, `max_duration`, `agent_hangup`, `agent_error`,
    /// `no_worker`, `agent_lost`, `livekit_unavailable`, or what a stop gave. New ones may appear. Null before.
    #[schema(max_length = 64)]
    end_reason: Option<String>,
    /// The worker's words, where it failed.
    #[schema(max_length = 1000)]
    error_detail: Option<String>,
    /// What keeps it in `starting` at the moment.
    #[schema(max_length = 4000)]
    last_error: Option<String>,
    /// Name of the LiveKit room.
    #[schema(max_length = 200)]
    room_name: String,
    /// LiveKit's id of the room; null before it exists.
    #[schema(max_length = 100)]
    room_sid: Option<String>,
    /// Values that the prompt was rendered with.
    #[schema(value_type = Object)]
    variables: RawJson,
    /// Data of your own.
    metadata: Metadata,
    /// Seconds after which it is stopped.
    #[schema(minimum = 1)]
    max_duration_seconds: i32,
    /// Counts changes of state.
    #[schema(minimum = 1)]
    revision: i64,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it was started.
    starting_at: Option<DateTime<Utc>>,
    /// When LiveKit confirmed room and dispatch.
    dispatched_at: Option<DateTime<Utc>>,
    /// When the agent joined.
    running_at: Option<DateTime<Utc>>,
    /// When a stop was asked for.
    stopping_at: Option<DateTime<Utc>>,
    /// When it was over.
    ended_at: Option<DateTime<Utc>>,
}

impl Resource for Session {
    const VERSIONED: bool = true;
    fn revision(&self) -> Option<i64> {
        Some(self.revision)
    }
}

impl From<sessions::Session> for Session {
    fn from(row: sessions::Session) -> Self {
        let sessions::Session {
            tenant_id: _,
            id,
            agent_id,
            binding_id,
            configuration_digest,
            worker_name: _,
            state,
            end_reason,
            error_detail,
            last_error,
            room_name,
            room_sid,
            variables,
            metadata,
            rendered_prompt: _,
            rendered_greeting: _,
            max_duration_seconds,
            revision,
            created_at,
            starting_at,
            dispatched_at,
            running_at,
            stopping_at,
            ended_at,
            room_missing_since: _,
            room_deleted_at: _,
        } = row;
        Self {
            id,
            agent_id,
            binding_id,
            configuration_digest,
            state,
            end_reason,
            error_detail,
            last_error,
            room_name,
            room_sid,
            variables,
            metadata,
            max_duration_seconds,
            revision,
            created_at,
            starting_at,
            dispatched_at,
            running_at,
            stopping_at,
            ended_at,
        }
    }
}

/// A session to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20",
    "variables": {"company": "Acme"},
    "start": true
}))]
pub struct CreateSession {
    /// Whose definition runs.
    pub agent_id: AgentId,
    /// A binding of the agent; the active one by default.
    pub binding_id: Option<BindingId>,
    /// Values of the prompt's variables.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub variables: Variables,
    /// Data of your own.
    #[serde(default)]
    pub metadata: Metadata,
    /// Start it in the same request.
    #[serde(default)]
    pub start: bool,
}

/// How a session is stopped.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "agent_hangup"}))]
pub struct StopSession {
    /// Why; `stopped` by default.
    pub reason: Option<Word>,
    /// What went wrong in the worker: the session has then failed, with the reason `agent_error` by default.
    pub error: Option<Detail>,
}

/// Which sessions are wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionFilter {
    /// Only sessions in this state.
    #[schema(inline)]
    pub state: Option<SessionState>,
    /// Only sessions of this agent.
    pub agent_id: Option<AgentId>,
    /// Only sessions that are over for this reason.
    #[schema(max_length = 64)]
    pub end_reason: Option<String>,
    /// Only sessions created at or after this time.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    pub from: Option<DateTime<Utc>>,
    /// Only sessions created before this time.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    pub to: Option<DateTime<Utc>>,
}

/// One dispatch of an agent into a session.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f70",
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20",
    "configuration_digest": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "is_primary": true,
    "attempt": 1,
    "state": "joined",
    "dispatch_id": null,
    "participant_sid": "PA_abc",
    "participant_identity": "agent-0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f70",
    "created_at": "2026-11-23T20:00:00Z",
    "dispatched_at": "2026-11-23T20:00:00Z",
    "joined_at": "2026-11-23T20:00:01Z",
    "left_at": null
}))]
pub struct AgentRun {
    /// Id.
    id: AgentRunId,
    /// Whose definition it runs; null in runs from before this was recorded.
    agent_id: Option<AgentId>,
    /// Digest of the configuration that it runs.
    #[schema(max_length = 64)]
    configuration_digest: String,
    /// Whether the session's state follows it. A further agent, attached, is not primary.
    is_primary: bool,
    /// Counts dispatches of the session from 1.
    #[schema(minimum = 1)]
    attempt: i32,
    /// Where it stands.
    state: RunState,
    /// LiveKit's id of the dispatch; null for the one that came with the room.
    #[schema(max_length = 100)]
    dispatch_id: Option<String>,
    /// LiveKit's id of its agent's stay; null before it joined.
    #[schema(max_length = 100)]
    participant_sid: Option<String>,
    /// Identity of its agent; null before it joined.
    #[schema(max_length = 200)]
    participant_identity: Option<String>,
    /// When it was recorded.
    created_at: DateTime<Utc>,
    /// When LiveKit confirmed the dispatch.
    dispatched_at: Option<DateTime<Utc>>,
    /// When its agent joined.
    joined_at: Option<DateTime<Utc>>,
    /// When its agent left.
    left_at: Option<DateTime<Utc>>,
}

impl From<runs::AgentRun> for AgentRun {
    fn from(row: runs::AgentRun) -> Self {
        let runs::AgentRun {
            tenant_id: _,
            id,
            session_id: _,
            configuration_digest,
            is_primary,
            attempt,
            state,
            dispatch_id,
            participant_sid,
            participant_identity,
            created_at,
            dispatched_at,
            joined_at,
            left_at,
            missing_since: _,
            agent_id,
            worker_name: _,
            rendered_prompt: _,
            rendered_greeting: _,
        } = row;
        Self {
            id,
            agent_id,
            configuration_digest,
            is_primary,
            attempt,
            state,
            dispatch_id,
            participant_sid,
            participant_identity,
            created_at,
            dispatched_at,
            joined_at,
            left_at,
        }
    }
}

/// Somebody who was in the room.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f80",
    "sid": "PA_def",
    "identity": "usr_0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f81",
    "name": "",
    "kind": "standard",
    "invited_at": null,
    "joined_at": "2026-11-23T20:00:02Z",
    "left_at": null,
    "disconnect_reason": null
}))]
pub struct Participant {
    /// Id of the record.
    id: ParticipantId,
    /// LiveKit's id of this stay; null before it joined.
    #[schema(max_length = 100)]
    sid: Option<String>,
    /// Identity from the token.
    #[schema(max_length = 200)]
    identity: String,
    /// Display name from the token.
    #[schema(max_length = 200)]
    name: String,
    /// `standard`, `agent`, `sip` or `other`.
    #[schema(max_length = 20)]
    kind: String,
    /// When it was attached; null for one who came with a token or a dispatch of the session's own.
    invited_at: Option<DateTime<Utc>>,
    /// When it joined; null before, and where only its leaving was seen.
    joined_at: Option<DateTime<Utc>>,
    /// When it left; null while it is there, and for one who never came.
    left_at: Option<DateTime<Utc>>,
    /// LiveKit's word for why it left.
    #[schema(max_length = 100)]
    disconnect_reason: Option<String>,
}

impl From<participants::Participant> for Participant {
    fn from(row: participants::Participant) -> Self {
        let participants::Participant {
            tenant_id: _,
            id,
            session_id: _,
            sid,
            identity,
            name,
            kind,
            joined_at,
            left_at,
            disconnect_reason,
            invited_at,
        } = row;
        Self {
            id,
            sid,
            identity,
            name,
            kind: kind.as_str().to_owned(),
            invited_at,
            joined_at,
            left_at,
            disconnect_reason,
        }
    }
}

/// What an agent run is to run.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "tenant_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10",
    "session_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f60",
    "agent_run_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f70",
    "state": "starting",
    "digest": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "configuration": {
        "schema": 3, "knowledge": null,
        "worker_name": "patchbay-agent",
        "prompt": {"template": "You help callers of {{ company }}.", "variables": [{"name": "company", "required": true}]},
        "runtime": {"kind": "echo", "greeting_tone": {"frequency_hz": 880, "duration_ms": 400}, "limits": {"max_duration_seconds": 600}},
        "tools": []
    },
    "prompt": "You help callers of Acme.",
    "greeting": null,
    "call": null
}))]
pub struct AgentRunConfig {
    /// Tenant.
    pub tenant_id: TenantId,
    /// Session.
    pub session_id: SessionId,
    /// The run.
    pub agent_run_id: AgentRunId,
    /// State of the session; a worker leaves one that is over.
    pub state: SessionState,
    /// Digest of the configuration.
    #[schema(max_length = 64)]
    pub digest: String,
    /// The configuration, its template unrendered.
    pub configuration: Configuration,
    /// The prompt, rendered with the session's variables.
    #[schema(max_length = 262144)]
    pub prompt: String,
    /// The greeting, rendered with the session's variables.
    #[schema(max_length = 262144)]
    pub greeting: Option<String>,
    /// The telephone call that the session was made for.
    pub call: Option<RunCall>,
}

/// What an agent should know of its call.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fb0", "direction": "outbound", "participant_identity": "sip_0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fb0",
    "from": "+4930123456", "to": "+4930654321", "answer_detection": "off"
}))]
pub struct RunCall {
    /// The call.
    id: CallId,
    /// Who calls whom.
    direction: Direction,
    /// Identity of the telephone in the room.
    #[schema(max_length = 200)]
    participant_identity: String,
    /// Who calls, in E.164; null where it is hidden.
    #[schema(max_length = 64)]
    from: Option<String>,
    /// Who is called, in E.164.
    #[schema(max_length = 64)]
    to: Option<String>,
    /// What to do when a machine answers.
    answer_detection: AnswerDetection,
}

impl From<calls::Call> for RunCall {
    fn from(call: calls::Call) -> Self {
        Self {
            id: call.id,
            direction: call.direction,
            participant_identity: call.identity,
            from: call.from_number,
            to: call.to_number,
            answer_detection: call.answer_detection,
        }
    }
}

impl Resource for AgentRunConfig {}

impl AgentRunConfig {
    /// What this run is to run.
    pub fn new(
        tenant_id: TenantId,
        (session_id, agent_run_id): (SessionId, AgentRunId),
        found: RunConfiguration,
    ) -> Self {
        let RunConfiguration {
            state,
            digest,
            configuration,
            prompt,
            greeting,
            call,
        } = found;
        Self {
            tenant_id,
            session_id,
            agent_run_id,
            state,
            digest,
            configuration,
            prompt,
            greeting,
            call: call.map(RunCall::from),
        }
    }
}

/// A configuration that was run.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "digest": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "configuration": {
        "schema": 3, "knowledge": null,
        "worker_name": "patchbay-agent",
        "prompt": {"template": "You help callers.", "variables": []},
        "runtime": {"kind": "echo", "greeting_tone": {"frequency_hz": 880, "duration_ms": 400}, "limits": {"max_duration_seconds": 600}},
        "tools": []
    },
    "created_at": "2026-11-23T20:00:00Z"
}))]
pub struct StoredConfiguration {
    /// SHA-256 of the configuration's canonical JSON (RFC 8785).
    #[schema(max_length = 64)]
    pub digest: String,
    /// The configuration.
    pub configuration: Configuration,
    /// When a session first had it.
    pub created_at: DateTime<Utc>,
}

impl Resource for StoredConfiguration {}
