//! What a session's timeline says: kinds of events, and the facts of each.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    AgentRunId, CallId, Clock, SessionId, ToolCallId, knowledge::SearchMode, text::Text,
};
use patchbay_persistence::{TenantTx, timeline};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{ApiError, Result};

/// What is told of an event, as far as it applies to its kind.
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

/// What is told of a search in an agent's files: never the question or the texts.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"mode": "hybrid", "chunk_ids": ["0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0:1:4"], "duration_ms": 11}))]
pub struct SearchFacts {
    /// How it was searched.
    pub mode: SearchMode,
    /// What the model was given, best first: file, generation and place of each chunk.
    #[schema(max_items = 100, value_type = Vec<Text<1, 64>>)]
    pub chunk_ids: Vec<String>,
    /// Milliseconds it took.
    #[schema(minimum = 0, maximum = 600_000)]
    pub duration_ms: u32,
}

/// How a tool call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
    /// There was an answer.
    Succeeded,
    /// There was none, or an error.
    Failed,
}

/// What is told of a tool call: never its arguments or its result.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f90", "function_name": "find_order", "kind": "http",
    "status": "succeeded", "error_code": null, "http_status": 200, "duration_ms": 84, "size_bytes": 512
}))]
pub struct ToolCallFacts {
    /// The call; the same in `tool_call.started` and `tool_call.finished`.
    pub id: ToolCallId,
    /// The function.
    #[schema(max_length = 64)]
    pub function_name: String,
    /// How it is called: `http`, `mcp` or `client`.
    #[schema(max_length = 10)]
    pub kind: String,
    /// How it ended; null while it is under way. A call without an end was interrupted, and its outcome
    /// is not known.
    pub status: Option<CallStatus>,
    /// Code of the failure.
    #[schema(max_length = 64)]
    pub error_code: Option<String>,
    /// Status of the HTTP answer.
    #[schema(minimum = 100, maximum = 999)]
    pub http_status: Option<u16>,
    /// Milliseconds it took.
    #[schema(minimum = 0, maximum = 600_000)]
    pub duration_ms: Option<u32>,
    /// Bytes of the answer.
    #[schema(minimum = 0)]
    pub size_bytes: Option<u32>,
}

/// Events that are about to be written.
pub struct Timeline {
    session: SessionId,
    events: Vec<(DateTime<Utc>, String, Facts)>,
}

impl Timeline {
    /// An empty one of a session.
    pub const fn of(session: SessionId) -> Self {
        Self {
            session,
            events: Vec::new(),
        }
    }

    /// Adds an event.
    pub fn add(&mut self, at: DateTime<Utc>, kind: impl Into<String>, facts: Facts) {
        self.events.push((at, kind.into(), facts));
    }

    /// Writes them, in their order.
    pub async fn write(self, tx: &mut TenantTx, clock: &Clock) -> Result<()> {
        let mut rows = Vec::with_capacity(self.events.len());
        for (at, kind, facts) in self.events {
            rows.push(timeline::SessionEvent {
                tenant_id: tx.tenant(),
                id: clock.new_id(),
                session_id: self.session,
                at,
                kind,
                facts: serde_json::to_value(facts).map_err(ApiError::internal)?,
            });
        }
        Ok(timeline::append(tx, &rows).await?)
    }
}
