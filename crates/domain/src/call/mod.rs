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

mod progress;
pub mod reason;
mod state;
#[cfg(test)]
mod tests;

pub use progress::{CallEvent, Progress};
pub use state::{AnswerDetection, CallState, Direction, HangupBy};

use crate::end_reason;

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
