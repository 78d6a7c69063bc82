//! The state machine of a session, as pure functions.
//!
//! ```text
//! created ─ start ─▶ starting ─ agent joined ─▶ running ─ stop ─▶ stopping ─▶ ended
//!    └─ stop ─▶ ended(canceled)    └───────────────┴─▶ ended(reason) | failed(reason)
//! ```
//!
//! Terminal states absorb everything that comes late. [`next_step`] looks at what is recorded and
//! says what to do next; it is asked again after every step, so a step that was interrupted is
//! simply taken again.

mod calls;
#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub use calls::CallView;

use crate::{AgentRunId, CallId, Invalid};

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Resolved and rendered; nothing in LiveKit yet.
    Created,
    /// Room and dispatch are under way; no agent has joined yet.
    Starting,
    /// The primary run's agent has joined.
    Running,
    /// Stop was asked for; the room is being deleted.
    Stopping,
    /// Over, as it should be.
    Ended,
    /// Over, because something failed.
    Failed,
}

impl SessionState {
    /// The name in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }

    /// Whether the session is over for good.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Ended | Self::Failed)
    }

    /// Whether somebody may be in the room.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }
}

impl TryFrom<String> for SessionState {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        from_name(&text)
    }
}

/// Where an agent run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Recorded; LiveKit has not been asked yet.
    Pending,
    /// LiveKit has the dispatch; no agent has joined for it.
    Dispatched,
    /// Its agent is in the room.
    Joined,
    /// Over with the session.
    Finished,
    /// Its agent left the room without saying why.
    Lost,
    /// No agent joined within the join deadline.
    NoShow,
}

impl RunState {
    /// The name in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Dispatched => "dispatched",
            Self::Joined => "joined",
            Self::Finished => "finished",
            Self::Lost => "lost",
            Self::NoShow => "no_show",
        }
    }
}

impl TryFrom<String> for RunState {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        from_name(&text)
    }
}

fn from_name<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, Invalid> {
    serde_json::from_value(name.into())
        .map_err(|error| Invalid::new("invalid_value", error.to_string()))
}

/// Why a session is over. Open strings on the wire: new ones may appear.
pub mod reason {
    /// The room closed after people had been in it.
    pub const COMPLETED: &str = "completed";
    /// The room closed and nobody had ever joined.
    pub const ABANDONED: &str = "abandoned";
    /// Stopped by request, without a reason given.
    pub const STOPPED: &str = "stopped";
    /// Stopped before it was started.
    pub const CANCELED: &str = "canceled";
    /// The runtime config's maximum duration was reached.
    pub const MAX_DURATION: &str = "max_duration";
    /// The worker reported an error of its own.
    pub const AGENT_ERROR: &str = "agent_error";
    /// No agent joined, also not after one re-dispatch.
    pub const NO_WORKER: &str = "no_worker";
    /// The agent was lost while running, and so was its one replacement.
    pub const AGENT_LOST: &str = "agent_lost";
    /// LiveKit could not be reached until the start deadline.
    pub const LIVEKIT_UNAVAILABLE: &str = "livekit_unavailable";
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// From `starting` until LiveKit must have the room.
    pub start_deadline: TimeDelta,
    /// From the dispatch until the agent must have joined.
    pub join_deadline: TimeDelta,
    /// How often to look for the agent before it has joined.
    pub join_poll: TimeDelta,
    /// How long an agent or a room may be out of sight before it counts as gone
    /// (after a restart of LiveKit both come back by themselves).
    pub grace: TimeDelta,
    /// How often to compare a running session with LiveKit.
    pub reconcile: TimeDelta,
    /// How often to look how a call that is not answered yet stands.
    pub call_poll: TimeDelta,
}

/// What is recorded of a session, as far as the next step depends on it.
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
    /// Since when the room is out of sight.
    pub room_missing_since: Option<DateTime<Utc>>,
    /// Whether the room is known to be gone.
    pub room_deleted: bool,
    /// Whether anybody but an agent has ever joined.
    pub visited: bool,
    /// Longest time in `running`.
    pub max_duration: TimeDelta,
    /// The primary runs, oldest first.
    pub runs: Vec<RunView>,
    /// Further agents' runs that are not over, oldest first.
    pub further: Vec<RunView>,
    /// Its telephone calls that are not over, oldest first.
    pub calls: Vec<CallView>,
}

/// What is recorded of one run.
#[derive(Clone, Copy, Debug)]
pub struct RunView {
    /// The run.
    pub id: AgentRunId,
    /// Its state.
    pub state: RunState,
    /// When it was recorded.
    pub created_at: DateTime<Utc>,
    /// When LiveKit confirmed its dispatch.
    pub dispatched_at: Option<DateTime<Utc>>,
    /// Since when its agent is out of sight.
    pub missing_since: Option<DateTime<Utc>>,
    /// Whether LiveKit said that its agent left (and not merely that the server went down).
    pub left: bool,
}

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

/// The next step of a session at the time `now`.
pub fn next_step(view: &View, timings: &Timings, now: DateTime<Utc>) -> Step {
    match view.state {
        SessionState::Created => Step::Done,
        SessionState::Ended | SessionState::Failed => {
            if view.room_deleted || view.starting_at.is_none() {
                Step::Done
            } else {
                Step::DeleteRoom
            }
        }
        SessionState::Stopping if view.room_deleted => Step::End(reason::STOPPED),
        SessionState::Stopping => Step::DeleteRoom,
        SessionState::Starting if view.dispatched_at.is_none() => start(view, timings, now),
        SessionState::Starting | SessionState::Running => match carry_on(view, timings, now) {
            Step::Wait(wake) if view.room_missing_since.is_none() => {
                match further(view, timings, now, wake) {
                    Step::Wait(wake) => calls::next(view, timings, now, wake),
                    step => step,
                }
            }
            step => step,
        },
    }
}

fn start(view: &View, timings: &Timings, now: DateTime<Utc>) -> Step {
    let deadline = view.starting_at.unwrap_or(now) + timings.start_deadline;
    match view.runs.last() {
        Some(run) if now < deadline => Step::CreateRoom(run.id),
        _ => Step::Fail(reason::LIVEKIT_UNAVAILABLE),
    }
}

fn carry_on(view: &View, timings: &Timings, now: DateTime<Utc>) -> Step {
    let mut wake = now + timings.reconcile;
    if let Some(since) = view.room_missing_since {
        if now >= since + timings.grace {
            return Step::End(closed_reason(view));
        }
        return Step::Wait(wake.min(since + timings.grace));
    }
    if let Some(running_at) = view.running_at {
        let end = running_at + view.max_duration;
        if now >= end {
            return Step::Stop(reason::MAX_DURATION);
        }
        wake = wake.min(end);
    }
    // An agent that came late, after its replacement was recorded, is as good as any.
    let joined = view
        .runs
        .iter()
        .rev()
        .find(|run| run.state == RunState::Joined);
    let Some(run) = joined.or(view.runs.last()) else {
        return Step::Fail(reason::NO_WORKER);
    };
    match run.state {
        RunState::Pending if now >= run.created_at + timings.start_deadline => {
            Step::Fail(reason::LIVEKIT_UNAVAILABLE)
        }
        RunState::Pending => Step::Dispatch(run.id),
        RunState::Dispatched => {
            let deadline = run.dispatched_at.unwrap_or(run.created_at) + timings.join_deadline;
            if now < deadline {
                Step::Wait(wake.min(deadline).min(now + timings.join_poll))
            } else {
                replace_or_fail(view, run, RunState::NoShow)
            }
        }
        RunState::Joined => match run.missing_since {
            Some(since) if run.left || now >= since + timings.grace => {
                replace_or_fail(view, run, RunState::Lost)
            }
            Some(since) => Step::Wait(wake.min(since + timings.grace)),
            None => Step::Wait(wake),
        },
        RunState::Finished | RunState::Lost | RunState::NoShow => {
            replace_or_fail(view, run, run.state)
        }
    }
}

/// What to do for further agents, which are dispatched once and never replaced, while there is
/// nothing to do for the primary one before `wake`.
fn further(view: &View, timings: &Timings, now: DateTime<Utc>, mut wake: DateTime<Utc>) -> Step {
    for run in &view.further {
        let until = match (run.state, run.missing_since) {
            (RunState::Pending, _) if now < run.created_at + timings.start_deadline => {
                return Step::Dispatch(run.id);
            }
            (RunState::Pending, _) => return Step::Close(run.id, RunState::NoShow),
            (RunState::Dispatched, _) => {
                let deadline = run.dispatched_at.unwrap_or(run.created_at) + timings.join_deadline;
                if now >= deadline {
                    return Step::Close(run.id, RunState::NoShow);
                }
                deadline.min(now + timings.join_poll)
            }
            (RunState::Joined, Some(since)) => {
                if run.left || now >= since + timings.grace {
                    return Step::Close(run.id, RunState::Lost);
                }
                since + timings.grace
            }
            _ => continue,
        };
        wake = wake.min(until);
    }
    Step::Wait(wake)
}

/// One re-dispatch before the first agent has joined, and one after.
fn replace_or_fail(view: &View, run: &RunView, mark: RunState) -> Step {
    let since = view.running_at.or(view.starting_at);
    let replacements = view
        .runs
        .iter()
        .skip(1)
        .filter(|other| since.is_none_or(|since| other.created_at >= since))
        .count();
    match (replacements, view.running_at) {
        (0, _) => Step::Replace(run.id, mark),
        (_, None) => Step::Fail(reason::NO_WORKER),
        (_, Some(_)) => Step::Fail(reason::AGENT_LOST),
    }
}

/// Why a session is over whose room closed by itself.
pub fn closed_reason(view: &View) -> &'static str {
    if view.visited {
        reason::COMPLETED
    } else {
        reason::ABANDONED
    }
}
