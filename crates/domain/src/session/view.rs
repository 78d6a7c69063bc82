//! The input of a step: the recorded state and the deadlines.

use chrono::{DateTime, TimeDelta, Utc};

use super::state::{RunState, SessionState};
use crate::{
    call::{CallState, Direction},
    id::{AgentRunId, CallId},
};

/// Deadlines and intervals.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// From `starting` until LiveKit must have the room.
    pub start_deadline: TimeDelta,
    /// From the first dispatch until a worker must have taken it, and from then until the agent must have joined.
    pub join_deadline: TimeDelta,
    /// From a dispatch until it is checked whether a worker has taken it. Doubled with each repetition.
    pub dispatch_check: TimeDelta,
    /// How often to look for the agent before it has joined.
    pub join_poll: TimeDelta,
    /// How long an agent or a room may be missing before it counts as gone (after a restart of LiveKit both come
    /// back by themselves).
    pub grace: TimeDelta,
    /// How often to compare a running session with LiveKit.
    pub reconcile: TimeDelta,
    /// How often to check a call that is not answered yet.
    pub call_poll: TimeDelta,
}

/// The recorded state of a session that the next step depends on.
#[derive(Clone, Debug)]
pub struct View {
    /// The state.
    pub state: SessionState,
    /// When it was started.
    pub starting_at: Option<DateTime<Utc>>,
    /// When LiveKit confirmed the room.
    pub dispatched_at: Option<DateTime<Utc>>,
    /// When the first agent joined.
    pub running_at: Option<DateTime<Utc>>,
    /// Since when the room has been missing.
    pub room_missing_since: Option<DateTime<Utc>>,
    /// Whether the room is known to be deleted.
    pub room_deleted: bool,
    /// Whether any participant but an agent has ever joined.
    pub visited: bool,
    /// Maximum time in `running`.
    pub max_duration: TimeDelta,
    /// The primary runs, oldest first.
    pub runs: Vec<RunView>,
    /// Further agents' runs that have not ended, oldest first.
    pub further: Vec<RunView>,
    /// Its phone calls that have not ended, oldest first.
    pub calls: Vec<CallView>,
}

/// The recorded state of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunView {
    /// The run.
    pub id: AgentRunId,
    /// Its state.
    pub state: RunState,
    /// When it was recorded.
    pub created_at: DateTime<Utc>,
    /// When LiveKit confirmed its first dispatch.
    pub dispatched_at: Option<DateTime<Utc>>,
    /// How often it was dispatched, and when last.
    pub dispatches: (i32, Option<DateTime<Utc>>),
    /// When a worker was seen to have taken a dispatch.
    pub taken_at: Option<DateTime<Utc>>,
    /// Since when its agent has been missing.
    pub missing_since: Option<DateTime<Utc>>,
    /// Whether LiveKit reported that its agent left (and not merely that the server went down).
    pub left: bool,
}

/// The recorded state of a call.
#[derive(Clone, Copy, Debug)]
pub struct CallView {
    /// The call.
    pub id: CallId,
    /// Who calls whom.
    pub direction: Direction,
    /// Its state.
    pub state: CallState,
    /// Whether the session ends with it.
    pub is_primary: bool,
    /// When the dial request was sent.
    pub sent_at: Option<DateTime<Utc>>,
    /// Until when a process waits for the response to the dial request, unless it extends the wait.
    pub awaited_until: Option<DateTime<Utc>>,
    /// When it was answered.
    pub answered_at: Option<DateTime<Utc>>,
    /// Since when its participant has been missing.
    pub missing_since: Option<DateTime<Utc>>,
    /// Maximum duration from the answer on.
    pub max_duration: TimeDelta,
}
