//! Direction and state of a call.

use crate::words::words;

words! {
    /// Direction of a call.
    pub enum Direction {
        /// The agent calls a number.
        Outbound = "outbound",
        /// A caller dials a number of the tenant.
        Inbound = "inbound",
    }
}

words! {
    /// State of a call.
    pub enum CallState {
        /// Recorded; not dialled yet.
        Created = "created",
        /// Started: the number is dialled as soon as the agent is in the room.
        Dialing = "dialing",
        /// The phone is ringing.
        Ringing = "ringing",
        /// Answered.
        Answered = "answered",
        /// Ended after it was answered.
        Ended = "ended",
        /// Ended without being answered.
        Failed = "failed",
        /// Canceled before it was answered.
        Canceled = "canceled",
    }
}

impl CallState {
    /// Whether the state is final.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Ended | Self::Failed | Self::Canceled)
    }

    /// Whether it counts as a concurrent call.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Dialing | Self::Ringing | Self::Answered)
    }
}

words! {
    /// What the worker does if an answering machine picks up.
    #[derive(Default)]
    pub enum AnswerDetection {
        /// It does not detect answering machines.
        #[default]
        Off = "off",
        /// It reports who answered, and goes on.
        Report = "report",
        /// It hangs up on a machine.
        HangUp = "hang_up",
    }
}

words! {
    /// Which side ended an answered call.
    pub enum HangupBy {
        /// The caller.
        Caller = "caller",
        /// The callee.
        Callee = "callee",
        /// The agent.
        Agent = "agent",
        /// Patchbay: a stop, the maximum duration, or a failure.
        Us = "us",
    }
}
