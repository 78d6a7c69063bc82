//! End reasons of calls. Open strings on the wire: new ones may appear.

/// The call ended normally.
pub const COMPLETED: &str = "completed";
/// The caller hung up.
pub const CALLER_HANGUP: &str = "caller_hangup";
/// The callee hung up.
pub const CALLEE_HANGUP: &str = "callee_hangup";
/// The agent hung up.
pub const AGENT_HANGUP: &str = "agent_hangup";
/// Stopped before it was answered.
pub const CANCELED: &str = "canceled";
/// The line is busy.
pub const BUSY: &str = "busy";
/// The callee declined the call.
pub const DECLINED: &str = "declined";
/// The call was not answered in time.
pub const NO_ANSWER: &str = "no_answer";
/// The carrier knows no such number.
pub const INVALID_NUMBER: &str = "invalid_number";
/// The carrier refused the trunk's user name, password or address.
pub const TRUNK_AUTH: &str = "trunk_auth";
/// The carrier failed, or the trunk cannot be used.
pub const TRUNK_FAILURE: &str = "trunk_failure";
/// Transferred to another number.
pub const TRANSFERRED: &str = "transferred";
/// LiveKit or its SIP service could not be reached, or the outcome of the call is unknown.
pub const LIVEKIT_UNAVAILABLE: &str = crate::end_reason::LIVEKIT_UNAVAILABLE;
