//! What can be done for a session.

use chrono::{DateTime, Utc};

use super::state::RunState;
use crate::id::{AgentRunId, CallId};

/// What to do next for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, ever.
    Done,
    /// Nothing before this time.
    Wait(DateTime<Utc>),
    /// Create the room with the first run's dispatch in it.
    CreateRoom(AgentRunId),
    /// Dispatch this run into the room that exists.
    Dispatch(AgentRunId),
    /// Close this run as the state says and record another one.
    Replace(AgentRunId, RunState),
    /// Close this further agent's run as the state says; the session goes on.
    Close(AgentRunId, RunState),
    /// Enter `failed` with this reason.
    Fail(&'static str),
    /// Enter `stopping` with this reason.
    Stop(&'static str),
    /// Enter `ended`; a reason given here holds where none is recorded yet.
    End(&'static str),
    /// Delete the room.
    DeleteRoom,
    /// Dial the number of this call, once and for all.
    Dial(CallId),
    /// The telephone of this call is gone, and nobody said why.
    LoseCall(CallId),
    /// End this call alone, for this reason.
    HangUp(CallId, &'static str),
}
