//! States of sessions and agent runs.

use crate::words::words;

words! {
    /// State of a session.
    pub enum SessionState {
        /// Resolved and rendered; not in LiveKit yet.
        Created = "created",
        /// Room and dispatch are being created; no agent has joined yet.
        Starting = "starting",
        /// The primary run's agent has joined.
        Running = "running",
        /// A stop was requested; the room is being deleted.
        Stopping = "stopping",
        /// Ended normally.
        Ended = "ended",
        /// Ended by a failure.
        Failed = "failed",
    }
}

impl SessionState {
    /// Whether the state is final.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Ended | Self::Failed)
    }

    /// Whether it is starting or running: a stop has not been requested.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }

    /// Whether there may be participants in the room.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }
}

words! {
    /// State of an agent run.
    pub enum RunState {
        /// Recorded; not dispatched yet.
        Pending = "pending",
        /// LiveKit has confirmed the dispatch; no agent has joined yet.
        Dispatched = "dispatched",
        /// Its agent is in the room.
        Joined = "joined",
        /// Ended with the session.
        Finished = "finished",
        /// Its agent left the room without a report.
        Lost = "lost",
        /// No agent joined within the join deadline.
        NoShow = "no_show",
    }
}
