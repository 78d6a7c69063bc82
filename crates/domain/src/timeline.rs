//! Events of a session's timeline.

use serde::{Deserialize, Serialize};

use crate::{
    call::CallState,
    id::{AgentRunId, CallId, ToolCallId},
    knowledge::SearchMode,
    session::{RunState, SessionState},
    words::words,
};

words! {
    /// Kind of an event.
    pub enum EventKind {
        /// The session is `created`.
        SessionCreated = "session.created",
        /// The session is `starting`.
        SessionStarting = "session.starting",
        /// The session is `running`.
        SessionRunning = "session.running",
        /// The session is `stopping`.
        SessionStopping = "session.stopping",
        /// The session is `ended`.
        SessionEnded = "session.ended",
        /// The session is `failed`.
        SessionFailed = "session.failed",
        /// An agent run is `pending`.
        RunPending = "run.pending",
        /// An agent run is `dispatched`.
        RunDispatched = "run.dispatched",
        /// An agent run is `joined`.
        RunJoined = "run.joined",
        /// An agent run is `finished`.
        RunFinished = "run.finished",
        /// An agent run is `lost`.
        RunLost = "run.lost",
        /// An agent run is `no_show`.
        RunNoShow = "run.no_show",
        /// A participant was invited.
        ParticipantInvited = "participant.invited",
        /// A participant has joined.
        ParticipantJoined = "participant.joined",
        /// A participant has returned.
        ParticipantReturned = "participant.returned",
        /// A participant has left.
        ParticipantLeft = "participant.left",
        /// A phone call is `created`.
        CallCreated = "call.created",
        /// A phone call is `dialing`.
        CallDialing = "call.dialing",
        /// A phone call is `ringing`.
        CallRinging = "call.ringing",
        /// A phone call is `answered`.
        CallAnswered = "call.answered",
        /// A phone call is `ended`.
        CallEnded = "call.ended",
        /// A phone call is `failed`.
        CallFailed = "call.failed",
        /// A phone call is `canceled`.
        CallCanceled = "call.canceled",
        /// A tool call has started.
        ToolCallStarted = "tool_call.started",
        /// A tool call has finished.
        ToolCallFinished = "tool_call.finished",
        /// The knowledge base was searched.
        KnowledgeSearched = "knowledge.searched",
    }
}

impl From<SessionState> for EventKind {
    fn from(state: SessionState) -> Self {
        match state {
            SessionState::Created => Self::SessionCreated,
            SessionState::Starting => Self::SessionStarting,
            SessionState::Running => Self::SessionRunning,
            SessionState::Stopping => Self::SessionStopping,
            SessionState::Ended => Self::SessionEnded,
            SessionState::Failed => Self::SessionFailed,
        }
    }
}

impl From<RunState> for EventKind {
    fn from(state: RunState) -> Self {
        match state {
            RunState::Pending => Self::RunPending,
            RunState::Dispatched => Self::RunDispatched,
            RunState::Joined => Self::RunJoined,
            RunState::Finished => Self::RunFinished,
            RunState::Lost => Self::RunLost,
            RunState::NoShow => Self::RunNoShow,
        }
    }
}

impl From<CallState> for EventKind {
    fn from(state: CallState) -> Self {
        match state {
            CallState::Created => Self::CallCreated,
            CallState::Dialing => Self::CallDialing,
            CallState::Ringing => Self::CallRinging,
            CallState::Answered => Self::CallAnswered,
            CallState::Ended => Self::CallEnded,
            CallState::Failed => Self::CallFailed,
            CallState::Canceled => Self::CallCanceled,
        }
    }
}

/// Details of an event, as far as they apply to its kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Reason: the end reason of a session, or LiveKit's reason of a disconnect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The agent run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_run_id: Option<AgentRunId>,
    /// Identity of the participant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// The phone call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// The tool call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<ToolCallFacts>,
    /// The search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchFacts>,
}

/// A search in an agent's files, without its query and the texts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"mode": "hybrid", "chunk_ids": ["0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0:1:4"], "duration_ms": 11})))]
pub struct SearchFacts {
    /// Mode of the search.
    pub mode: SearchMode,
    /// The chunks that the model was given, best first: file, generation and ordinal.
    #[cfg_attr(feature = "openapi", schema(max_items = 100, value_type = Vec<crate::text::Text<1, 64>>))]
    pub chunk_ids: Vec<String>,
    /// Duration in milliseconds.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 600_000))]
    pub duration_ms: u32,
}

/// Outcome of a tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ToolCallStatus {
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
}

/// A tool call, without its arguments and its result.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f90", "function_name": "find_order", "kind": "http",
    "status": "succeeded", "error_code": null, "http_status": 200, "duration_ms": 84, "size_bytes": 512
})))]
pub struct ToolCallFacts {
    /// Id of the call; the same in `tool_call.started` and `tool_call.finished`.
    pub id: ToolCallId,
    /// The function.
    #[cfg_attr(feature = "openapi", schema(max_length = 64))]
    pub function_name: String,
    /// Kind of the tool.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::tool::ToolKind))]
    pub kind: String,
    /// Outcome; null while it is in progress. A call without `tool_call.finished` was interrupted, and its
    /// outcome is unknown.
    pub status: Option<ToolCallStatus>,
    /// Error code.
    #[cfg_attr(feature = "openapi", schema(max_length = 64))]
    pub error_code: Option<String>,
    /// Status of the HTTP response.
    #[cfg_attr(feature = "openapi", schema(minimum = 100, maximum = 999))]
    pub http_status: Option<u16>,
    /// Duration in milliseconds.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 600_000))]
    pub duration_ms: Option<u32>,
    /// Size of the response in bytes.
    #[cfg_attr(feature = "openapi", schema(minimum = 0))]
    pub size_bytes: Option<u32>,
}
