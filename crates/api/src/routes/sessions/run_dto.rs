//! Agent runs and the configurations that they run.

use patchbay_domain::{
    AgentId, AgentRunId, CallId, SessionId, TenantId,
    call::{AnswerDetection, Direction},
    configuration::Configuration,
    session::{RunState, SessionState},
};
use patchbay_persistence::{calls, runs};
use patchbay_service::sessions::run_configuration::RunConfiguration;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{failure::Failure, response::Resource, timestamp::Timestamp};

/// An agent run: one attempt to have an agent in a session.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f70",
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20",
    "configuration_digest": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "primary": true,
    "attempt": 1,
    "state": "joined",
    "dispatch_id": null,
    "participant_sid": "PA_abc",
    "participant_identity": "agent-0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f70",
    "created_at": "2026-11-23T20:00:00Z",
    "dispatched_at": "2026-11-23T20:00:00Z",
    "joined_at": "2026-11-23T20:00:01Z",
    "left_at": null,
    "dispatches": 1,
    "taken_at": "2026-11-23T20:00:01Z",
    "error": null
}))]
pub struct AgentRun {
    /// Id of the agent run.
    id: AgentRunId,
    /// Id of the agent; null for runs from before it was recorded.
    agent_id: Option<AgentId>,
    /// Digest of the configuration.
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    configuration_digest: String,
    /// Whether the run determines the session's state. Runs of attached agents do not.
    primary: bool,
    /// Number of the run in the session, from 1; a run that was lost or never joined is replaced once.
    #[schema(minimum = 1)]
    attempt: i32,
    /// Current state of the run.
    state: RunState,
    /// LiveKit's id of the last dispatch; null for the dispatch that was created with the room.
    #[schema(max_length = 100)]
    dispatch_id: Option<String>,
    /// LiveKit's id of the agent as a participant; null before it joined.
    #[schema(max_length = 100)]
    participant_sid: Option<String>,
    /// Identity of the agent in the room; null before it joined.
    #[schema(max_length = 200)]
    participant_identity: Option<String>,
    /// Time of creation.
    created_at: Timestamp,
    /// Time when LiveKit confirmed the dispatch.
    dispatched_at: Option<Timestamp>,
    /// Time when the agent joined.
    joined_at: Option<Timestamp>,
    /// Time when the agent left.
    left_at: Option<Timestamp>,
    /// How often the run was dispatched: LiveKit drops a dispatch that no worker takes, which is then repeated.
    #[schema(minimum = 0)]
    dispatches: i32,
    /// Time when a worker was seen to have taken a dispatch; null if none has, or the agent joined before that was looked
    /// for.
    taken_at: Option<Timestamp>,
    /// Why the run is `lost` or `no_show`, with the state as the code; null otherwise.
    error: Option<Failure>,
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
            dispatches,
            last_dispatched_at: _,
            taken_at,
            error_detail,
        } = row;
        Self {
            id,
            agent_id,
            configuration_digest,
            primary: is_primary,
            attempt,
            state,
            dispatch_id,
            participant_sid,
            participant_identity,
            created_at: created_at.into(),
            dispatched_at: Timestamp::optional(dispatched_at),
            joined_at: Timestamp::optional(joined_at),
            left_at: Timestamp::optional(left_at),
            dispatches,
            taken_at: Timestamp::optional(taken_at),
            error: error_detail.map(|why| Failure::new(state.as_str(), why)),
        }
    }
}

/// The configuration of an agent run, for the worker.
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
    /// Id of the tenant.
    pub tenant_id: TenantId,
    /// Id of the session.
    pub session_id: SessionId,
    /// Id of the agent run.
    pub agent_run_id: AgentRunId,
    /// Current state of the session. A worker must leave the room if it has ended.
    pub state: SessionState,
    /// Digest of the configuration.
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    pub digest: String,
    /// The configuration, with the unrendered template.
    pub configuration: Configuration,
    /// The prompt, rendered with the session's variables.
    #[schema(max_length = 262144)]
    pub prompt: String,
    /// The greeting, rendered with the session's variables.
    #[schema(max_length = 262144)]
    pub greeting: Option<String>,
    /// The phone call that the session was created for; null if there is none.
    pub call: Option<RunCall>,
}

/// The phone call of a session.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fb0", "direction": "outbound", "participant_identity": "sip_0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fb0",
    "from": "+4930123456", "to": "+4930654321", "answer_detection": "off"
}))]
pub struct RunCall {
    /// Id of the call.
    id: CallId,
    /// Direction of the call: inbound or outbound.
    direction: Direction,
    /// Identity of the SIP participant in the room.
    #[schema(max_length = 200)]
    participant_identity: String,
    /// Phone number of the caller in E.164; null if withheld.
    #[schema(max_length = 64)]
    from: Option<String>,
    /// Phone number of the callee in E.164.
    #[schema(max_length = 64)]
    to: Option<String>,
    /// Detection of answering machines.
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
    /// Creates the response for a run.
    pub fn new(
        tenant_id: TenantId,
        (session_id, agent_run_id): (SessionId, AgentRunId),
        run: RunConfiguration,
    ) -> Self {
        let RunConfiguration {
            state,
            digest,
            configuration,
            prompt,
            greeting,
            call,
        } = run;
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

/// The configuration of sessions.
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
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    pub digest: String,
    /// The configuration.
    pub configuration: Configuration,
    /// Time when the first session with it was created.
    pub created_at: Timestamp,
}

impl Resource for StoredConfiguration {}
