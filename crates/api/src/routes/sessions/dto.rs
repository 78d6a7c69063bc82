//! Requests and responses of sessions.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    AgentId, BindingId, CallId, FileId, Invalid, Metadata, PromptVersionId, RawJson,
    RuntimeConfigVersionId, SessionId, ToolVersionId, UserId, clock, end_reason,
    prompt::Variables,
    session::SessionState,
    text::{Detail, Text, Word},
    worker::Availability,
};
use patchbay_persistence::{sessions, summaries::Summary};
use patchbay_service::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    failure::Failure, openapi::vocabulary::SessionEndReason, response::Resource,
    timestamp::Timestamp,
};

/// A session.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f60",
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20",
    "binding_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f40",
    "configuration_digest": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "state": "running",
    "end_reason": null,
    "error": null,
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
    /// Id of the session.
    pub id: SessionId,
    /// Id of the agent; it may have been deleted since.
    agent_id: AgentId,
    /// Id of the resolved binding; it may have been deleted since.
    binding_id: BindingId,
    /// Digest of the configuration.
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    configuration_digest: String,
    /// Current state of the session.
    state: SessionState,
    /// Reason for the end or the stop, or the reason given in the stop request. New values may be added. Null before
    /// the session is stopping.
    #[schema(value_type = Option<SessionEndReason>)]
    end_reason: Option<String>,
    /// Why the session failed, with its end reason as the code. Before that, what went wrong with the last request to
    /// LiveKit, which is being repeated (`livekit_unavailable`). Null otherwise.
    error: Option<Failure>,
    /// Name of the LiveKit room.
    #[schema(max_length = 200)]
    room_name: String,
    /// LiveKit's id of the room; null before the room exists.
    #[schema(max_length = 100)]
    room_sid: Option<String>,
    /// Values of the prompt's variables.
    #[schema(value_type = Object)]
    variables: RawJson,
    /// Custom metadata, as a JSON object.
    metadata: Metadata,
    /// Maximum duration in seconds, after which the session is stopped.
    #[schema(minimum = 1)]
    max_duration_seconds: i32,
    /// Revision, which increases with every change of state.
    #[schema(minimum = 1)]
    revision: i64,
    /// Time of creation.
    created_at: Timestamp,
    /// Time of the start request.
    starting_at: Option<Timestamp>,
    /// Time when LiveKit confirmed the room and the dispatch.
    dispatched_at: Option<Timestamp>,
    /// Time when the agent joined.
    running_at: Option<Timestamp>,
    /// Time of the stop request.
    stopping_at: Option<Timestamp>,
    /// Time when the session ended.
    ended_at: Option<Timestamp>,
    /// Whether a registered worker could take the session. Only in the response to `createSession`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) availability: Option<Availability>,
    /// Names and counts to show. Only in the responses to `getSession` and `listSessions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    summary: Option<SessionSummary>,
}

/// Names and counts of a session.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "agent_name": "reception", "binding_number": 3, "call_id": null, "duration_seconds": 84.2, "turns": 12
}))]
pub struct SessionSummary {
    /// Name of the agent; null if it has been deleted.
    #[schema(max_length = 200)]
    agent_name: Option<String>,
    /// Number of the binding; null if it has been deleted.
    #[schema(minimum = 1)]
    binding_number: Option<i32>,
    /// Id of the phone call that the session was created for.
    call_id: Option<CallId>,
    /// Time between the agent's joining and the end, in seconds; so far, while the session is running. Null if no agent
    /// has joined.
    #[schema(minimum = 0)]
    duration_seconds: Option<f64>,
    /// Number of turns of the transcript.
    #[schema(minimum = 0)]
    turns: i64,
}

impl Resource for Session {
    const VERSIONED: bool = true;
    fn revision(&self) -> Option<i64> {
        Some(self.revision)
    }
}

impl Session {
    /// The response to a read.
    pub fn read(row: sessions::Session, summary: Option<Summary>, now: DateTime<Utc>) -> Self {
        let end = row.ended_at.unwrap_or(now);
        let duration = row.running_at.map(|at| (end - at).as_seconds_f64());
        let summary = summary.map(|summary| SessionSummary {
            agent_name: summary.agent_name,
            binding_number: summary.binding_number,
            call_id: summary.call_id,
            duration_seconds: duration,
            turns: summary.turns,
        });
        Self {
            summary,
            ..row.into()
        }
    }

    /// What a client token reads: without what the tenant keeps about the session for itself.
    pub fn for_client(self) -> Self {
        Self {
            variables: RawJson::empty_object(),
            metadata: Metadata::default(),
            error: None,
            ..self
        }
    }

    /// The response to the creation.
    pub fn created(row: sessions::Session, availability: Option<Availability>) -> Self {
        Self {
            availability,
            ..row.into()
        }
    }
}

impl From<sessions::Session> for Session {
    fn from(row: sessions::Session) -> Self {
        let error = error_of(&row);
        let sessions::Session {
            tenant_id: _,
            id,
            agent_id,
            binding_id,
            configuration_digest,
            worker_name: _,
            state,
            end_reason,
            error_detail: _,
            last_error: _,
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
            error,
            room_name,
            room_sid,
            variables,
            metadata,
            max_duration_seconds,
            revision,
            created_at: created_at.into(),
            starting_at: Timestamp::optional(starting_at),
            dispatched_at: Timestamp::optional(dispatched_at),
            running_at: Timestamp::optional(running_at),
            stopping_at: Timestamp::optional(stopping_at),
            ended_at: Timestamp::optional(ended_at),
            availability: None,
            summary: None,
        }
    }
}

fn error_of(row: &sessions::Session) -> Option<Failure> {
    let reason = row.end_reason.as_deref().unwrap_or(Failure::FAILED);
    match (row.state, &row.error_detail, &row.last_error) {
        (SessionState::Ended, ..) => None,
        (_, Some(why), _) => Some(Failure::new(reason, why)),
        (SessionState::Failed, None, Some(why)) => Some(Failure::new(reason, why)),
        (SessionState::Starting | SessionState::Running, None, Some(why)) => {
            Some(Failure::new(end_reason::LIVEKIT_UNAVAILABLE, why))
        }
        _ => None,
    }
}

/// A session to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20",
    "variables": {"company": "Acme"},
    "start": true
}))]
pub struct CreateSession {
    /// Id of the agent.
    pub agent_id: AgentId,
    /// Id of a binding of the agent; by default its active binding.
    pub binding_id: Option<BindingId>,
    /// Values of the prompt's variables.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub variables: Variables,
    /// Custom metadata, as a JSON object.
    #[serde(default)]
    pub metadata: Metadata,
    /// Whether to start the session in the same request.
    #[serde(default)]
    pub start: bool,
}

/// The reason for a stop.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "agent_hangup"}))]
pub struct StopSession {
    /// End reason; `stopped` by default.
    pub reason: Option<Word>,
    /// Error message of the worker. The session then becomes `failed`, by default with the reason `agent_error`.
    pub error: Option<Detail>,
}

/// Filters of sessions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionFilter {
    /// Only sessions in one of these states.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub state: Vec<SessionState>,
    /// Only sessions of this agent.
    pub agent_id: Option<AgentId>,
    /// Only sessions that ran this binding.
    pub binding_id: Option<BindingId>,
    /// Only sessions that ran this version of a prompt.
    pub prompt_version_id: Option<PromptVersionId>,
    /// Only sessions that ran this version of a runtime config.
    pub runtime_config_version_id: Option<RuntimeConfigVersionId>,
    /// Only sessions that ran this version of a tool.
    pub tool_version_id: Option<ToolVersionId>,
    /// Only sessions whose metadata has this field, with the value `metadata_value`.
    pub metadata_key: Option<Text<1, 200>>,
    /// Value of the field `metadata_key`: a string, or the number, boolean or null of this spelling.
    pub metadata_value: Option<Text<0, 1000>>,
    /// Only sessions that ran the configuration with this digest.
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    pub configuration_digest: Option<String>,
    /// Only sessions in which this user has a place.
    pub user_id: Option<UserId>,
    /// Only sessions of agents that this file is attached to now.
    pub file_id: Option<FileId>,
    /// Only sessions with this end reason.
    #[schema(max_length = 64)]
    pub end_reason: Option<String>,
    /// Only sessions created at or after this time.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    pub from: Option<DateTime<Utc>>,
    /// Only sessions created before this time.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    pub to: Option<DateTime<Utc>>,
}

impl TryFrom<SessionFilter> for sessions::Filter {
    type Error = Error;
    fn try_from(filter: SessionFilter) -> Result<Self> {
        let SessionFilter {
            state,
            agent_id,
            binding_id,
            prompt_version_id,
            runtime_config_version_id,
            tool_version_id,
            metadata_key,
            metadata_value,
            configuration_digest,
            user_id,
            file_id,
            end_reason,
            from,
            to,
        } = filter;
        let metadata = match (metadata_key, metadata_value) {
            (Some(key), Some(value)) => Some((key.into_inner(), value.into_inner())),
            (None, None) => None,
            (Some(_), None) => return Err(missing("/metadata_value")),
            (None, Some(_)) => return Err(missing("/metadata_key")),
        };
        Ok(Self {
            state,
            agent_id,
            binding_id,
            versions: sessions::Versions {
                prompt_version_id,
                runtime_config_version_id,
                tool_version_id,
            },
            configuration_digest,
            metadata,
            user_id,
            file_id,
            end_reason,
            from,
            to,
        })
    }
}

fn missing(pointer: &str) -> Error {
    let message = "`metadata_key` and `metadata_value` are given together";
    Error::invalid_at(pointer, Invalid::new("missing_field", message))
}
