//! End reasons of sessions. Open strings on the wire: new ones may appear. Some are reasons of calls, too.

/// The room closed after participants had joined.
pub const COMPLETED: &str = "completed";
/// The room closed and no participant had ever joined.
pub const ABANDONED: &str = "abandoned";
/// Stopped by request, with no reason given.
pub const STOPPED: &str = "stopped";
/// Stopped before it was started.
pub const CANCELED: &str = "canceled";
/// The runtime config's maximum duration was reached.
pub const MAX_DURATION: &str = "max_duration";
/// The worker reported an error of its own.
pub const AGENT_ERROR: &str = "agent_error";
/// No agent joined, not even after one re-dispatch.
pub const NO_WORKER: &str = "no_worker";
/// The agent was lost while running, and so was its one replacement.
pub const AGENT_LOST: &str = "agent_lost";
/// LiveKit could not be reached until the start deadline.
pub const LIVEKIT_UNAVAILABLE: &str = "livekit_unavailable";
