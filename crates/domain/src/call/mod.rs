//! The state machine of a phone call, as a pure function.
//!
//! ```text
//! created ─ start ─▶ dialing ─▶ ringing ─▶ answered ─▶ ended
//!    │                  └──────────┴─▶ failed(reason) | canceled
//!    └─ stop ─▶ canceled
//! ```
//!
//! LiveKit reports on a call in three ways that overtake each other: the response to the dial request, the
//! participants of the room, and webhooks. So reports are recorded, and a conclusion is drawn only when no other
//! report can change it: a participant that left while the dial request is still pending proves nothing yet.
//! Terminal states ignore everything that follows.
//! nothing yet. Terminal states absorb the rest.

mod progress;
pub mod reason;
mod state;
#[cfg(test)]
mod tests;

pub use progress::{CallEvent, Progress};
pub use state::{AnswerDetection, CallState, Direction, HangupBy};

use crate::end_reason;

/// The reasons that Patchbay itself sets on calls and on the sessions that end with them. Other reasons are free
/// text of the client that requested the stop; those are erased with the session.
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
    end_reason::ABANDONED,
    end_reason::STOPPED,
    end_reason::MAX_DURATION,
    end_reason::AGENT_ERROR,
    end_reason::NO_WORKER,
    end_reason::AGENT_LOST,
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
