//! The state machine of a telephone call, as a pure function.
//!
//! ```text
//! created ─ start ─▶ dialing ─▶ ringing ─▶ answered ─▶ ended
//!    │                  └──────────┴─▶ failed(reason) | canceled
//!    └─ stop ─▶ canceled
//! ```
//!
//! LiveKit tells of a call in three ways that overtake each other: the answer to the dial, what the
//! room shows, and webhooks. So what is told is kept, and a conclusion is drawn only when it holds
//! whatever else may come: a telephone that left while somebody waits for the answer to its dial says
//! nothing yet. Terminal states absorb the rest.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::{Invalid, session};

/// Who calls whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The agent calls somebody.
    Outbound,
    /// Somebody calls a number of the tenant.
    Inbound,
}

impl Direction {
    /// The name in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

impl TryFrom<String> for Direction {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        from_name(text)
    }
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// Recorded; nobody's telephone rings.
    Created,
    /// Started: the number is dialled as soon as the agent is in the room.
    Dialing,
    /// The telephone rings.
    Ringing,
    /// Somebody has answered.
    Answered,
    /// Over, after it was answered.
    Ended,
    /// Over, and never answered.
    Failed,
    /// Given up before it was answered.
    Canceled,
}

impl CallState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Dialing,
        Self::Ringing,
        Self::Answered,
        Self::Ended,
        Self::Failed,
        Self::Canceled,
    ];

    /// The name in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Dialing => "dialing",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Whether the call is over for good.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Ended | Self::Failed | Self::Canceled)
    }

    /// Whether it occupies a line.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Dialing | Self::Ringing | Self::Answered)
    }
}

impl TryFrom<String> for CallState {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        from_name(text)
    }
}

/// What the worker does when a machine answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AnswerDetection {
    /// It does not look who answers.
    #[default]
    Off,
    /// It finds out, and talks on.
    Report,
    /// It finds out, and hangs up on a machine.
    HangUp,
}

impl AnswerDetection {
    /// The name in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::HangUp => "hang_up",
        }
    }
}

impl TryFrom<String> for AnswerDetection {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        from_name(text)
    }
}

fn from_name<T: serde::de::DeserializeOwned>(name: String) -> Result<T, Invalid> {
    serde_json::from_value(name.into())
        .map_err(|error| Invalid::new("invalid_value", error.to_string()))
}

/// Why a call is over. Open strings on the wire: new ones may appear.
pub mod reason {
    /// It ended as it should.
    pub const COMPLETED: &str = "completed";
    /// Who called hung up.
    pub const CALLER_HANGUP: &str = "caller_hangup";
    /// Who was called hung up.
    pub const CALLEE_HANGUP: &str = "callee_hangup";
    /// The agent hung up.
    pub const AGENT_HANGUP: &str = "agent_hangup";
    /// Stopped before it was answered.
    pub const CANCELED: &str = "canceled";
    /// The line is busy.
    pub const BUSY: &str = "busy";
    /// Somebody refused the call.
    pub const DECLINED: &str = "declined";
    /// Nobody answered in time.
    pub const NO_ANSWER: &str = "no_answer";
    /// The carrier knows no such number.
    pub const INVALID_NUMBER: &str = "invalid_number";
    /// The carrier refused the trunk's user name, password or address.
    pub const TRUNK_AUTH: &str = "trunk_auth";
    /// The carrier failed, or the trunk cannot be used.
    pub const TRUNK_FAILURE: &str = "trunk_failure";
    /// Handed over to somebody else.
    pub const TRANSFERRED: &str = "transferred";
    /// LiveKit or its SIP node could not be reached, or what became of the call is not known.
    pub const LIVEKIT_UNAVAILABLE: &str = super::session::reason::LIVEKIT_UNAVAILABLE;
}

/// The reasons of ours, of calls and of the sessions they end with. Others come from whoever asked for
/// a stop, in words of their own; those are erased with the session.
pub const KNOWN_REASONS: [&str; 19] = [
    reason::COMPLETED,
    reason::CALLER_HANGUP,
    reason::CALLEE_HANGUP,
    reason::AGENT_HANGUP,
    reason::CANCELED,
    reason::BUSY,
    reason::DECLINED,
    reason::NO_ANSWER,
    reason::INVALID_NUMBER,
    reason::TRUNK_AUTH,
    reason::TRUNK_FAILURE,
    reason::TRANSFERRED,
    reason::LIVEKIT_UNAVAILABLE,
    session::reason::ABANDONED,
    session::reason::STOPPED,
    session::reason::MAX_DURATION,
    session::reason::AGENT_ERROR,
    session::reason::NO_WORKER,
    session::reason::AGENT_LOST,
];

/// The reason that a SIP status means.
pub const fn reason_of_status(status: u16) -> &'static str {
    match status {
        486 | 600 => reason::BUSY,
        603 | 607 | 608 => reason::DECLINED,
        408 | 480 | 487 => reason::NO_ANSWER,
        404 | 484 | 604 => reason::INVALID_NUMBER,
        401 | 403 | 407 => reason::TRUNK_AUTH,
        _ => reason::TRUNK_FAILURE,
    }
}

/// Who ended an answered call.
pub mod hangup_by {
    /// Who called.
    pub const CALLER: &str = "caller";
    /// Who was called.
    pub const CALLEE: &str = "callee";
    /// The agent.
    pub const AGENT: &str = "agent";
    /// Patchbay: a stop, the maximum duration, or a failure.
    pub const US: &str = "us";
}

/// LiveKit's reasons for a leaving that do not mean that the telephone is gone for good.
const NOT_GONE: [&str; 5] = [
    "",
    "UNKNOWN_REASON",
    "SERVER_SHUTDOWN",
    "MIGRATION",
    "STATE_MISMATCH",
];

/// What is known of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Who calls whom.
    pub direction: Direction,
    /// Where it stands.
    pub state: CallState,
    /// Why it is over.
    pub reason: Option<String>,
    /// Who ended it.
    pub hangup_by: Option<&'static str>,
    /// LiveKit's word for the leaving of the telephone.
    pub left: Option<String>,
    /// Whether a process waits for the answer to the dial, or for the outcome of a transfer.
    pub awaited: bool,
}

/// What is told of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEvent {
    /// Start was asked for.
    Started,
    /// The telephone rings.
    Ringing,
    /// Somebody answered.
    Answered,
    /// The dial failed, for this reason.
    Refused(&'static str),
    /// The telephone left the room; LiveKit's word for why.
    Left(String),
    /// Nobody waits for the answer to the dial, or the outcome of a transfer, any more.
    Abandoned,
    /// The telephone is out of sight for good.
    Lost,
    /// The session stops or is over for this reason; `true` where it has failed.
    SessionOver(String, bool),
    /// This telephone alone is to hang up, for this reason.
    HangUp(&'static str),
}

impl Progress {
    /// What is known after the event.
    #[must_use]
    pub fn after(mut self, event: &CallEvent) -> Self {
        if self.state.is_terminal() {
            return self;
        }
        match event {
            CallEvent::Started if self.state == CallState::Created => {
                self.state = CallState::Dialing;
            }
            CallEvent::Ringing if self.state == CallState::Dialing => {
                self.state = CallState::Ringing;
            }
            // Again, it is no news: what is awaited by then is the outcome of a transfer.
            CallEvent::Answered
                if matches!(self.state, CallState::Dialing | CallState::Ringing) =>
            {
                self.state = CallState::Answered;
                self.awaited = false;
            }
            // A dial that fails after the call was answered tells of its end.
            CallEvent::Refused(reason) if self.state != CallState::Created => {
                self.awaited = false;
                if self.state != CallState::Answered {
                    return self.over(CallState::Failed, reason, None);
                }
                self.left
                    .get_or_insert_with(|| "CLIENT_INITIATED".to_owned());
            }
            CallEvent::Left(word) if self.state.is_live() && !NOT_GONE.contains(&&**word) => {
                self.left.get_or_insert_with(|| word.clone());
            }
            CallEvent::Abandoned => self.awaited = false,
            CallEvent::Lost if self.state != CallState::Created && !self.awaited => {
                // The room is in sight and the telephone is not: one that was answered has hung up, and one
                // that called in has given up.
                return match (self.state, self.direction) {
                    _ if self.left.is_some() => self.concluded(),
                    (CallState::Answered, _) => {
                        self.over(CallState::Ended, reason::COMPLETED, None)
                    }
                    (_, Direction::Inbound) => {
                        self.over(CallState::Canceled, reason::CANCELED, None)
                    }
                    _ => self.over(CallState::Failed, reason::LIVEKIT_UNAVAILABLE, None),
                };
            }
            CallEvent::SessionOver(reason, failed) => return self.stopped(reason, *failed),
            CallEvent::HangUp(reason) => return self.stopped(reason, false),
            _ => {}
        }
        self.concluded()
    }

    /// Ended if the telephone has left, and nothing is still to come that says more.
    fn concluded(self) -> Self {
        let Some(left) = self.left.clone() else {
            return self;
        };
        let (who, why) = match self.direction {
            Direction::Outbound => (hangup_by::CALLEE, reason::CALLEE_HANGUP),
            Direction::Inbound => (hangup_by::CALLER, reason::CALLER_HANGUP),
        };
        let on_purpose = left == "CLIENT_INITIATED" || left == "USER_REJECTED";
        match (self.state, self.direction) {
            _ if self.awaited => self,
            (CallState::Answered, _) if on_purpose => self.over(CallState::Ended, why, Some(who)),
            (CallState::Answered, _) => self.over(CallState::Ended, reason::COMPLETED, None),
            (_, Direction::Inbound) if on_purpose => self.over(CallState::Canceled, why, Some(who)),
            (_, Direction::Inbound) if left == "USER_UNAVAILABLE" => {
                self.over(CallState::Failed, reason::NO_ANSWER, None)
            }
            (_, Direction::Inbound) => self.over(CallState::Canceled, reason::CANCELED, None),
            _ => {
                let reason = match &*left {
                    "USER_UNAVAILABLE" => reason::NO_ANSWER,
                    "USER_REJECTED" => reason::DECLINED,
                    _ => reason::TRUNK_FAILURE,
                };
                self.over(CallState::Failed, reason, None)
            }
        }
    }

    /// Ended from this side.
    fn stopped(self, why: &str, failed: bool) -> Self {
        let by = match why {
            reason::AGENT_HANGUP => Some(hangup_by::AGENT),
            // The room closed by itself: nobody can tell.
            session::reason::COMPLETED | session::reason::ABANDONED => None,
            _ => Some(hangup_by::US),
        };
        match self.state {
            CallState::Answered => {
                let completed = [session::reason::STOPPED, session::reason::ABANDONED];
                let why = if completed.contains(&why) {
                    reason::COMPLETED
                } else {
                    why
                };
                self.over(CallState::Ended, why, by)
            }
            _ if failed => self.over(CallState::Failed, why, None),
            _ => self.over(CallState::Canceled, reason::CANCELED, by),
        }
    }

    fn over(mut self, state: CallState, reason: &str, by: Option<&'static str>) -> Self {
        self.state = state;
        self.reason = Some(reason.to_owned());
        self.hangup_by = by;
        self.awaited = false;
        self
    }
}
