//! What goes over the wire about calls.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    AgentId, BindingId, CallId, Dialled, Invalid, MappingId, Metadata, PhoneNumber, SessionId,
    TrunkId,
    call::{AnswerDetection, CallState, Direction},
    clock,
    prompt::Variables,
    text::Text,
};
use patchbay_persistence::calls;
use patchbay_service::{Error, Result, telephony::calls::OutboundCall};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::Resource;

/// Seconds that a telephone rings unless something else is said.
const RING: u32 = 45;
/// LiveKit gives up 80 s after it was asked, whatever it is asked for.
const LONGEST_RING: u32 = 75;

/// A telephone call.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fb0",
    "session_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f60",
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20",
    "direction": "outbound",
    "is_primary": true,
    "state": "ended",
    "reason": "callee_hangup",
    "hangup_by": "callee",
    "sip_status": null,
    "detail": null,
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
    /// Id.
    pub id: CallId,
    /// The session whose room the telephone is brought into; it may have been erased since.
    pub session_id: SessionId,
    /// The agent that speaks; it may have been deleted since.
    agent_id: AgentId,
    /// Who calls whom.
    direction: Direction,
    /// Whether the session was made for this call and ends with it. An attached telephone is not primary.
    is_primary: bool,
    /// Where it stands.
    state: CallState,
    /// Why it is over: `completed`, `caller_hangup`, `callee_hangup`, `agent_hangup`, `canceled`, `busy`, `declined`, `no_answer`,
    /// `invalid_number`, `trunk_auth`, `trunk_failure`, `transferred`, `no_worker`, `agent_lost`, `agent_error`, `max_duration`,
    /// `livekit_unavailable`, or what a stop gave, until the session is erased. New ones may appear. Null before.
    #[schema(max_length = 64)]
    reason: Option<String>,
    /// Who ended it: `caller`, `callee`, `agent` or `us`. Null before, and where nobody can tell.
    #[schema(max_length = 20)]
    hangup_by: Option<String>,
    /// Status that the carrier refused the call with.
    #[schema(minimum = 300, maximum = 699)]
    sip_status: Option<i32>,
    /// Words of the carrier, or of LiveKit, for what went wrong.
    #[schema(max_length = 1000)]
    detail: Option<String>,
    /// Who called, in E.164, or as the carrier tells it where that is no number; null where it is hidden or was erased.
    #[schema(max_length = 64)]
    from: Option<String>,
    /// Who was called, in E.164, or an emergency number; null where it was erased.
    #[schema(max_length = 64)]
    to: Option<String>,
    /// The trunk of a call out; it may have been deleted since.
    trunk_id: Option<TrunkId>,
    /// The mapping of a call in; it may have been deleted since.
    mapping_id: Option<MappingId>,
    /// LiveKit's id of the call.
    #[schema(max_length = 200)]
    sip_call_id: Option<String>,
    /// Seconds that it may ring.
    #[schema(minimum = 1)]
    ring_timeout_seconds: i32,
    /// Seconds that it may last from the answer on.
    #[schema(minimum = 1)]
    max_duration_seconds: i32,
    /// What the worker does when a machine answers.
    answer_detection: AnswerDetection,
    /// Seconds between the first ring and the answer, or the end where nobody answered; null before, and where it never rang.
    #[schema(minimum = 0)]
    ring_seconds: Option<f64>,
    /// Seconds between the answer and the end; null before, and where nobody answered.
    #[schema(minimum = 0)]
    talk_seconds: Option<f64>,
    /// Counts changes of state.
    #[schema(minimum = 1)]
    revision: i64,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it was started; the number is dialled when the agent has joined.
    dialing_at: Option<DateTime<Utc>>,
    /// When it was first seen ringing.
    ringing_at: Option<DateTime<Utc>>,
    /// When it was answered.
    answered_at: Option<DateTime<Utc>>,
    /// When it was over.
    ended_at: Option<DateTime<Utc>>,
}

impl Resource for Call {
    const VERSIONED: bool = true;
    fn revision(&self) -> Option<i64> {
        Some(self.revision)
    }
}

impl Call {
    /// Whether the session goes on without it.
    pub fn ends_alone(&self) -> bool {
        !self.is_primary
    }
}

/// Seconds from one moment to a later one.
fn seconds(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Option<f64> {
    let span = to? - from?;
    Some((span.as_seconds_f64().max(0.0) * 1000.0).round() / 1000.0)
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
        Self {
            id,
            session_id,
            agent_id,
            direction,
            is_primary,
            state,
            reason,
            hangup_by: hangup_by.map(|by| by.as_str().to_owned()),
            sip_status,
            detail,
            from: from_number,
            to: to_number,
            trunk_id,
            mapping_id,
            sip_call_id,
            ring_timeout_seconds,
            max_duration_seconds,
            answer_detection,
            ring_seconds: seconds(ringing_at, answered_at.or(ended_at)),
            talk_seconds: seconds(answered_at, ended_at),
            revision,
            created_at,
            dialing_at,
            ringing_at,
            answered_at,
            ended_at,
        }
    }
}

/// A call to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20", "to": "+49 30 654321", "trunk_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fa0",
    "variables": {"company": "Acme"}, "start": false
}))]
pub struct CreateCall {
    /// Whose definition runs; needed unless a binding is named.
    pub agent_id: Option<AgentId>,
    /// A binding; the agent's active one by default.
    pub binding_id: Option<BindingId>,
    /// Whom to call: any usual spelling with a country code, or a `tel:` URI. Emergency numbers are refused unless the operator
    /// allows them.
    #[schema(value_type = Text<2, 100>)]
    pub to: Dialled,
    /// The number to show as the origin: one of the trunk's, its first by default.
    pub from: Option<PhoneNumber>,
    /// The trunk; the tenant's only one, or the only one with the number `from`, by default.
    pub trunk_id: Option<TrunkId>,
    /// Values of the prompt's variables.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub variables: Variables,
    /// Data of your own; they are the session's.
    #[serde(default)]
    pub metadata: Metadata,
    /// Start it in the same request.
    #[serde(default)]
    pub start: bool,
    /// Seconds that it may ring; 45 by default.
    #[schema(minimum = 5, maximum = 75)]
    pub ring_timeout_seconds: Option<u32>,
    /// Seconds that it may last from the answer on; as the runtime config says by default, and never longer than the tenant's
    /// calls may.
    #[schema(minimum = 1, maximum = 86_400)]
    pub max_duration_seconds: Option<u32>,
    /// What the worker is to do when a machine answers. It is handed to the worker with the agent run's configuration.
    #[serde(default)]
    pub answer_detection: AnswerDetection,
}

impl CreateCall {
    /// The call to be made, if its times are possible.
    pub fn outbound_call(&self) -> Result<OutboundCall> {
        Ok(OutboundCall {
            to: self.to.clone(),
            to_pointer: "/to",
            from: self.from.clone(),
            trunk_id: self.trunk_id,
            ring: ring(self.ring_timeout_seconds)?,
            longest: longest(self.max_duration_seconds)?,
            detection: self.answer_detection,
        })
    }
}

/// How long it rings.
pub fn ring(seconds: Option<u32>) -> Result<u32> {
    between(seconds, (5, LONGEST_RING), "/ring_timeout_seconds")
        .map(|seconds| seconds.unwrap_or(RING))
}

/// How long it lasts.
pub fn longest(seconds: Option<u32>) -> Result<Option<u32>> {
    between(seconds, (1, 86_400), "/max_duration_seconds")
}

fn between(value: Option<u32>, (least, most): (u32, u32), pointer: &str) -> Result<Option<u32>> {
    match value {
        Some(seconds) if !(least..=most).contains(&seconds) => {
            let message = format!("{least} to {most} is allowed");
            let invalid = Invalid::new("out_of_range", message);
            Err(Error::invalid_at(pointer, invalid))
        }
        value => Ok(value),
    }
}

/// Which calls are wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallFilter {
    /// Only calls in this state.
    #[schema(inline)]
    pub state: Option<CallState>,
    /// Only calls in this direction.
    #[schema(inline)]
    pub direction: Option<Direction>,
    /// Only calls that are over for this reason.
    #[schema(max_length = 64)]
    pub reason: Option<String>,
    /// Only calls of this agent.
    pub agent_id: Option<AgentId>,
    /// Only calls of this session.
    pub session_id: Option<SessionId>,
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
            state: filter.state,
            direction: filter.direction,
            reason: filter.reason.clone(),
            agent_id: filter.agent_id,
            session_id: filter.session_id,
            number: filter.number.as_ref().map(ToString::to_string),
            from: filter.from,
            to: filter.to,
        }
    }
}
