//! What a call is, and where it stands.

use crate::words::words;

words! {
    /// Who calls whom.
    pub enum Direction {
        /// The agent calls somebody.
        Outbound = "outbound",
        /// Somebody calls a number of the tenant.
        Inbound = "inbound",
    }
}

words! {
    /// Where a call stands.
    pub enum CallState {
        /// Recorded; nobody's telephone rings.
        Created = "created",
        /// Started: the number is dialled as soon as the agent is in the room.
        Dialing = "dialing",
        /// The telephone rings.
        Ringing = "ringing",
        /// Somebody has answered.
        Answered = "answered",
        /// Over, after it was answered.
        Ended = "ended",
        /// Over, and never answered.
        Failed = "failed",
        /// Given up before it was answered.
        Canceled = "canceled",
    }
}

impl CallState {
    /// Whether the call is over for good.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Ended | Self::Failed | Self::Canceled)
    }

    /// Whether it occupies a line.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Dialing | Self::Ringing | Self::Answered)
    }
}

words! {
    /// What the worker does when a machine answers.
    #[derive(Default)]
    pub enum AnswerDetection {
        /// It does not look who answers.
        #[default]
        Off = "off",
        /// It finds out, and talks on.
        Report = "report",
        /// It finds out, and hangs up on a machine.
        HangUp = "hang_up",
    }
}

words! {
    /// Who ended an answered call.
    pub enum HangupBy {
        /// Who called.
        Caller = "caller",
        /// Who was called.
        Callee = "callee",
        /// The agent.
        Agent = "agent",
        /// Patchbay: a stop, the maximum duration, or a failure.
        Us = "us",
    }
}
