//! Request and response types of calls.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    AgentId, BindingId, CallId, Dialled, Invalid, MappingId, Metadata, PhoneNumber, SessionId,
    TrunkId,
    call::{AnswerDetection, CallState, Direction, HangupBy},
    clock,
    prompt::Variables,
    text::Text,
};
use patchbay_persistence::calls;
use patchbay_service::{Error, Result, telephony::calls::OutboundCall};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    failure::Failure, openapi::vocabulary::CallReason, response::Resource, timestamp::Timestamp,
};

/// Default ring timeout in seconds.
const DEFAULT_RING_SECONDS: u32 = 45;
/// Maximum ring timeout in seconds. LiveKit gives up 80 s after the request, whatever timeout is set.
const MAX_RING_SECONDS: u32 = 75;

/// A phone call.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fb0",
    "session_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f60",
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20",
    "direction": "outbound",
    "primary": true,
    "state": "ended",
    "end_reason": "callee_hangup",
    "hangup_by": "callee",
    "sip_status": null,
    "error": null,
    "from": "+4930123456",
    "to": "+4930654321",
    "trunk_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fa0",
    "mapping_id": null,
    "sip_call_id": "SCL_abc",
    "ring_timeout_seconds": 45,
    "max_duration_seconds": 600,
    "answer_detection": "off",
    "ring_seconds": 4.2,
    "talk_seconds": 61.0,
    "revision": 5,
    "created_at": "2026-11-23T20:00:00Z",
    "dialing_at": "2026-11-23T20:00:00Z",
    "ringing_at": "2026-11-23T20:00:02Z",
    "answered_at": "2026-11-23T20:00:06Z",
    "ended_at": "2026-11-23T20:01:07Z"
}))]
pub struct Call {
    /// Id of the call.
    pub id: CallId,
    /// Id of the session whose room the call is connected to. The session may have been erased since.
    pub session_id: SessionId,
    /// Id of the agent on the call. The agent may have been deleted since.
    agent_id: AgentId,
    /// Direction of the call: inbound or outbound.
    direction: Direction,
    /// Whether the session was created for this call and ends with it. False for calls attached to an existing
    /// session.
    primary: bool,
    /// Current state of the call.
    state: CallState,
    /// Reason for which the call ended, or the reason given in a stop request, which is removed when the session is
    /// erased. New values may be added. Null until the call has ended.
    #[schema(value_type = Option<CallReason>)]
    end_reason: Option<String>,
    /// Party that ended the call; `us` is Patchbay. Null until the call has ended, and if unknown.
    hangup_by: Option<HangupBy>,
    /// SIP status with which the carrier rejected the call; null if there is none.
    #[schema(minimum = 300, maximum = 699)]
    sip_status: Option<i32>,
    /// What the carrier or LiveKit says of a call that failed, or why its session failed, with the end reason as the code.
    error: Option<Failure>,
    /// Caller in E.164 format, or as sent by the carrier if it is not a phone number. Null if withheld or erased.
    #[schema(max_length = 64)]
    from: Option<String>,
    /// Callee in E.164 format, or an emergency number. Null if erased.
    #[schema(max_length = 64)]
    to: Option<String>,
    /// Id of the trunk of an outbound call. The trunk may have been deleted since.
    trunk_id: Option<TrunkId>,
    /// Id of the mapping of an inbound call. The mapping may have been deleted since.
    mapping_id: Option<MappingId>,
    /// LiveKit's SIP call id.
    #[schema(max_length = 200)]
    sip_call_id: Option<String>,
    /// Ring timeout in seconds.
    #[schema(minimum = 1)]
    ring_timeout_seconds: i32,
    /// Maximum duration in seconds, counted from the answer.
    #[schema(minimum = 1)]
    max_duration_seconds: i32,
    /// Answering machine detection of the worker.
    answer_detection: AnswerDetection,
    /// Ringing time in seconds, until the call was answered or ended. Null before that, and if the call never rang.
    #[schema(minimum = 0)]
    ring_seconds: Option<f64>,
    /// Time in seconds between the answer and the end of the call. Null before the end, and if the call was not
    /// answered.
    #[schema(minimum = 0)]
    talk_seconds: Option<f64>,
    /// Revision number, incremented with every change of state.
    #[schema(minimum = 1)]
    revision: i64,
    /// Time at which the call was created.
    created_at: Timestamp,
    /// Time at which the call was started. The number is dialled once the agent has joined.
    dialing_at: Option<Timestamp>,
    /// Time at which ringing was first observed.
    ringing_at: Option<Timestamp>,
    /// Time at which the call was answered.
    answered_at: Option<Timestamp>,
    /// Time at which the call ended.
    ended_at: Option<Timestamp>,
}

impl Resource for Call {
    const VERSIONED: bool = true;
    fn revision(&self) -> Option<i64> {
        Some(self.revision)
    }
}

impl Call {
    /// Returns whether the call was attached to an existing session, which continues when the call ends.
    pub fn is_attached(&self) -> bool {
        !self.primary
    }
}

/// Returns the seconds between two times, rounded to milliseconds; 0 if they are in reverse order.
fn seconds_between(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Option<f64> {
    let duration = to? - from?;
    Some((duration.as_seconds_f64().max(0.0) * 1000.0).round() / 1000.0)
}

impl From<calls::Call> for Call {
    fn from(row: calls::Call) -> Self {
        let calls::Call {
            tenant_id: _,
            id,
            session_id,
            agent_id,
            direction,
            is_primary,
            state,
            reason,
            hangup_by,
            sip_status,
            detail,
            from_number,
            to_number,
            trunk_id,
            mapping_id,
            identity: _,
            sip_call_id,
            ring_timeout_seconds,
            max_duration_seconds,
            answer_detection,
            revision,
            created_at,
            dialing_at,
            sent_at: _,
            awaited_until: _,
            ringing_at,
            answered_at,
            ended_at,
            left_reason: _,
            missing_since: _,
        } = row;
        let code = reason.as_deref().unwrap_or(Failure::FAILED);
        Self {
            id,
            session_id,
            agent_id,
            direction,
            primary: is_primary,
            state,
            error: detail.map(|why| Failure::new(code, why)),
            end_reason: reason,
            hangup_by,
            sip_status,
            from: from_number,
            to: to_number,
            trunk_id,
            mapping_id,
            sip_call_id,
            ring_timeout_seconds,
            max_duration_seconds,
            answer_detection,
            ring_seconds: seconds_between(ringing_at, answered_at.or(ended_at)),
            talk_seconds: seconds_between(answered_at, ended_at),
            revision,
            created_at: created_at.into(),
            dialing_at: Timestamp::optional(dialing_at),
            ringing_at: Timestamp::optional(ringing_at),
            answered_at: Timestamp::optional(answered_at),
            ended_at: Timestamp::optional(ended_at),
        }
    }
}

/// Request to create an outbound call.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20", "to": "+49 30 654321", "trunk_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fa0",
    "variables": {"company": "Acme"}, "start": false
}))]
pub struct CreateCall {
    /// Agent to run. Required unless `binding_id` is given.
    pub agent_id: Option<AgentId>,
    /// Binding to run; the active binding of the agent by default.
    pub binding_id: Option<BindingId>,
    /// Phone number to call, in any common notation with a country code, or as a `tel:` URI. Emergency numbers are
    /// rejected unless the operator allows them.
    #[schema(value_type = Text<2, 100>)]
    pub to: Dialled,
    /// Caller ID: one of the trunk's numbers, its first by default.
    pub from: Option<PhoneNumber>,
    /// Trunk to call through. By default the tenant's only trunk, or the only one that has the number `from`.
    pub trunk_id: Option<TrunkId>,
    /// Values of the prompt's variables.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub variables: Variables,
    /// Custom metadata of the session, a JSON object of at most 16 KiB.
    #[serde(default)]
    pub metadata: Metadata,
    /// Whether to start the call in the same request.
    #[serde(default)]
    pub start: bool,
    /// Ring timeout in seconds; 45 by default.
    #[schema(minimum = 5, maximum = 75)]
    pub ring_timeout_seconds: Option<u32>,
    /// Maximum duration in seconds, counted from the answer; that of the runtime config by default. May not exceed
    /// the tenant's limit.
    #[schema(minimum = 1, maximum = 86_400)]
    pub max_duration_seconds: Option<u32>,
    /// Answering machine detection of the worker. It is passed to the worker in the configuration of the agent run.
    #[serde(default)]
    pub answer_detection: AnswerDetection,
}

impl CreateCall {
    /// Validates the durations and returns the outbound call to create.
    pub fn outbound_call(&self) -> Result<OutboundCall> {
        Ok(OutboundCall {
            to: self.to.clone(),
            to_pointer: "/to",
            from: self.from.clone(),
            trunk_id: self.trunk_id,
            ring_timeout_seconds: ring_timeout(self.ring_timeout_seconds)?,
            max_duration_seconds: max_duration(self.max_duration_seconds)?,
            answer_detection: self.answer_detection,
        })
    }
}

/// Validates a ring timeout in seconds and applies the default.
pub fn ring_timeout(seconds: Option<u32>) -> Result<u32> {
    check_range(seconds, (5, MAX_RING_SECONDS), "/ring_timeout_seconds")
        .map(|seconds| seconds.unwrap_or(DEFAULT_RING_SECONDS))
}

/// Validates a maximum duration in seconds.
pub fn max_duration(seconds: Option<u32>) -> Result<Option<u32>> {
    check_range(seconds, (1, 86_400), "/max_duration_seconds")
}

fn check_range(value: Option<u32>, (min, max): (u32, u32), pointer: &str) -> Result<Option<u32>> {
    match value {
        Some(seconds) if !(min..=max).contains(&seconds) => {
            let message = format!("must be between {min} and {max}");
            let invalid = Invalid::new("out_of_range", message);
            Err(Error::invalid_at(pointer, invalid))
        }
        value => Ok(value),
    }
}

/// Filters for listing calls.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallFilter {
    /// Only calls in one of these states.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub state: Vec<CallState>,
    /// Only calls in this direction.
    #[schema(inline)]
    pub direction: Option<Direction>,
    /// Only calls that ended for this reason.
    #[schema(max_length = 64)]
    pub end_reason: Option<String>,
    /// Only calls of this agent.
    pub agent_id: Option<AgentId>,
    /// Only calls of this session.
    pub session_id: Option<SessionId>,
    /// Only outbound calls through this trunk.
    pub trunk_id: Option<TrunkId>,
    /// Only inbound calls that this mapping has taken.
    pub mapping_id: Option<MappingId>,
    /// Only calls from or to this number.
    pub number: Option<PhoneNumber>,
    /// Only calls created at or after this time.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    pub from: Option<DateTime<Utc>>,
    /// Only calls created before this time.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    pub to: Option<DateTime<Utc>>,
}

impl From<&CallFilter> for calls::Filter {
    fn from(filter: &CallFilter) -> Self {
        Self {
            state: filter.state.clone(),
            direction: filter.direction,
            reason: filter.end_reason.clone(),
            agent_id: filter.agent_id,
            session_id: filter.session_id,
            trunk_id: filter.trunk_id,
            mapping_id: filter.mapping_id,
            number: filter.number.as_ref().map(ToString::to_string),
            from: filter.from,
            to: filter.to,
        }
    }
}
