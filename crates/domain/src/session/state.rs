//! Where sessions and their agent runs stand.

use crate::words::words;

words! {
    /// Where a session stands.
    pub enum SessionState {
        /// Resolved and rendered; nothing in LiveKit yet.
        Created = "created",
        /// Room and dispatch are under way; no agent has joined yet.
        Starting = "starting",
        /// The primary run's agent has joined.
        Running = "running",
        /// Stop was asked for; the room is being deleted.
        Stopping = "stopping",
        /// Over, as it should be.
        Ended = "ended",
        /// Over, because something failed.
        Failed = "failed",
    }
}

impl SessionState {
    /// Whether the session is over for good.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Ended | Self::Failed)
    }

    /// Whether somebody may be in the room.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }
}

words! {
    /// Where an agent run stands.
    pub enum RunState {
        /// Recorded; LiveKit has not been asked yet.
        Pending = "pending",
        /// LiveKit has the dispatch; no agent has joined for it.
        Dispatched = "dispatched",
        /// Its agent is in the room.
        Joined = "joined",
        /// Over with the session.
        Finished = "finished",
        /// Its agent left the room without saying why.
        Lost = "lost",
        /// No agent joined within the join deadline.
        NoShow = "no_show",
    }
}
