//! The timeline of a session.

use patchbay_domain::timeline::{EventKind, Facts, SearchFacts, ToolCallFacts};
use patchbay_domain::{AgentRunId, CallId, SessionEventId, SessionId, TenantId};
use patchbay_persistence::timeline;
use patchbay_service::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::order::{Order, forward_start};
use crate::{
    extract::{Caller, List, Path, scopes::SessionView},
    response::Page,
    timestamp::Timestamp,
};

/// An event on the timeline of a session.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f95",
    "at": "2026-11-23T20:00:07Z",
    "kind": "tool_call.finished",
    "reason": null,
    "agent_run_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f70",
    "tool_call": {
        "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f90", "function_name": "find_order", "kind": "http",
        "status": "succeeded", "error_code": null, "http_status": 200, "duration_ms": 84, "size_bytes": 512
    }
}))]
pub struct SessionEvent {
    /// Id of the event.
    id: SessionEventId,
    /// Time of the event.
    at: Timestamp,
    /// Kind of the event. New kinds may be added.
    #[schema(value_type = EventKind)]
    kind: String,
    /// End reason of the session or call, or LiveKit's reason for a participant's disconnect.
    #[schema(max_length = 100)]
    reason: Option<String>,
    /// Id of the agent run.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_run_id: Option<AgentRunId>,
    /// Identity of the participant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    participant: Option<String>,
    /// Id of the phone call.
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<CallId>,
    /// The tool call.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call: Option<ToolCallFacts>,
    /// The knowledge base search.
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<SearchFacts>,
}

impl TryFrom<timeline::SessionEvent> for SessionEvent {
    type Error = Error;
    fn try_from(row: timeline::SessionEvent) -> Result<Self> {
        let timeline::SessionEvent {
            tenant_id: _,
            id,
            session_id: _,
            at,
            kind,
            facts,
        } = row;
        let Facts {
            reason,
            agent_run_id,
            participant,
            call_id,
            tool_call,
            search,
        } = serde_json::from_value(facts).map_err(Error::internal)?;
        Ok(Self {
            id,
            at: at.into(),
            kind,
            reason,
            agent_run_id,
            participant,
            call_id,
            tool_call,
            search,
        })
    }
}

/// Filters of session events.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionEventFilter {
    /// Only events of this kind.
    kind: Option<EventKind>,
    /// Order of the events; `newest_first` by default.
    #[schema(inline)]
    order: Option<Order>,
    /// Only events after the one with this id, oldest first. With the id of the last event that you have, you get what is
    /// new.
    after: Option<SessionEventId>,
}

pub(super) async fn list(
    caller: Caller<SessionView>,
    Path((_, id)): Path<(TenantId, SessionId)>,
    list: List<SessionEventFilter>,
) -> Result<Page<SessionEvent>> {
    let mut tx = caller.read().await?;
    super::lookup::require(&mut tx, id).await?;
    let SessionEventFilter { kind, order, after } = list.filter;
    let start = forward_start(&list.window, order, after.map(SessionEventId::uuid))?;
    let filter = (kind.map(EventKind::as_str), start);
    let rows = timeline::list(&mut tx, id, list.window, filter).await?;
    tx.finish();
    Page::try_new(rows, |row| row.id.uuid(), SessionEvent::try_from)
}
