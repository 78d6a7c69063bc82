//! The steps of a session.

use chrono::{DateTime, Utc};

use super::state::RunState;
use crate::id::{AgentRunId, CallId};

/// The next step of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is left to do.
    Done,
    /// Nothing is to be done before this time.
    Wait(DateTime<Utc>),
    /// Create the room with the dispatch of the first run.
    CreateRoom(AgentRunId),
    /// Dispatch this run into the existing room.
    Dispatch(AgentRunId),
    /// Look whether a worker has taken a dispatch of this run, and dispatch it again if none has.
    CheckDispatch(AgentRunId),
    /// Set this run to the state and record a replacement.
    Replace(AgentRunId, RunState),
    /// Set this further agent's run to the state; the session goes on.
    Close(AgentRunId, RunState),
    /// Enter `failed` with this reason.
    Fail(&'static str),
    /// Enter `stopping` with this reason.
    Stop(&'static str),
    /// Enter `ended`; this reason applies if none is recorded yet.
    End(&'static str),
    /// Delete the room.
    DeleteRoom,
    /// Dial the number of this call, which happens at most once.
    Dial(CallId),
    /// The participant of this call is gone, and no event reported it.
    LoseCall(CallId),
    /// End only this call, for this reason.
    HangUp(CallId, &'static str),
}
