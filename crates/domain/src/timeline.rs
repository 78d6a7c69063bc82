//! What a session's timeline says: the facts of each event.

use serde::{Deserialize, Serialize};

use crate::{
    id::{AgentRunId, CallId, ToolCallId},
    knowledge::SearchMode,
};

/// What is known of an event, as far as it applies to its kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Why: the end reason of a session, or LiveKit's word for a leaving.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The run that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_run_id: Option<AgentRunId>,
    /// Identity of the participant that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// The telephone call that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// The tool call that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<ToolCallFacts>,
    /// The search that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchFacts>,
}

/// A search in an agent's files: never the question or the texts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"mode": "hybrid", "chunk_ids": ["0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0:1:4"], "duration_ms": 11})))]
pub struct SearchFacts {
    /// How it was searched.
    pub mode: SearchMode,
    /// What the model was given, best first: file, generation and place of each chunk.
    #[cfg_attr(feature = "openapi", schema(max_items = 100, value_type = Vec<crate::text::Text<1, 64>>))]
    pub chunk_ids: Vec<String>,
    /// Milliseconds it took.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 600_000))]
    pub duration_ms: u32,
}

/// How a tool call or a call action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
    /// It was done.
    Succeeded,
    /// It was not, or with an error.
    Failed,
}

/// A tool call: never its arguments or its result.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f90", "function_name": "find_order", "kind": "http",
    "status": "succeeded", "error_code": null, "http_status": 200, "duration_ms": 84, "size_bytes": 512
})))]
pub struct ToolCallFacts {
    /// The call; the same in `tool_call.started` and `tool_call.finished`.
    pub id: ToolCallId,
    /// The function.
    #[cfg_attr(feature = "openapi", schema(max_length = 64))]
    pub function_name: String,
    /// How it is called: `http`, `mcp` or `client`.
    #[cfg_attr(feature = "openapi", schema(max_length = 10))]
    pub kind: String,
    /// How it ended; null while it is under way. A call without an end was interrupted, and its outcome
    /// is not known.
    pub status: Option<CallStatus>,
    /// Code of the failure.
    #[cfg_attr(feature = "openapi", schema(max_length = 64))]
    pub error_code: Option<String>,
    /// Status of the HTTP answer.
    #[cfg_attr(feature = "openapi", schema(minimum = 100, maximum = 999))]
    pub http_status: Option<u16>,
    /// Milliseconds it took.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 600_000))]
    pub duration_ms: Option<u32>,
    /// Bytes of the answer.
    #[cfg_attr(feature = "openapi", schema(minimum = 0))]
    pub size_bytes: Option<u32>,
}
