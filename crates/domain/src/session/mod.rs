//! The state machine of a session, as pure functions.
//!
//! ```text
//! created ─ start ─▶ starting ─ agent joined ─▶ running ─ stop ─▶ stopping ─▶ ended
//!    └─ stop ─▶ ended(canceled)    └───────────────┴─▶ ended(reason) | failed(reason)
//! ```
//!
//! Terminal states ignore late events. [`next_step`] derives the next step from the recorded state; it is called
//! again after every step, so an interrupted step is simply repeated.

mod calls;
mod dispatch;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod view;

use chrono::{DateTime, Utc};
pub use state::{RunState, SessionState};
pub use step::Step;
pub use view::{CallView, RunView, Timings, View};

pub use crate::end_reason as reason;

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
    // An agent that joins late, after its replacement was recorded, counts like any other.
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
        RunState::Dispatched => match dispatch::next(run, timings, now) {
            Some(Step::Wait(until)) => Step::Wait(wake.min(until)),
            Some(step) => step,
            None if run.taken_at.is_some() => replace_or_fail(view, run, RunState::NoShow),
            None => fail(view),
        },
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

/// Steps for further agents, which are never replaced, if there is nothing to do for the
/// primary one before `wake`.
fn further(view: &View, timings: &Timings, now: DateTime<Utc>, mut wake: DateTime<Utc>) -> Step {
    for run in &view.further {
        let until = match (run.state, run.missing_since) {
            (RunState::Pending, _) if now < run.created_at + timings.start_deadline => {
                return Step::Dispatch(run.id);
            }
            (RunState::Pending, _) => return Step::Close(run.id, RunState::NoShow),
            (RunState::Dispatched, _) => match dispatch::next(run, timings, now) {
                Some(Step::Wait(until)) => until,
                Some(step) => return step,
                None => return Step::Close(run.id, RunState::NoShow),
            },
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
    match replacements {
        0 => Step::Replace(run.id, mark),
        _ => fail(view),
    }
}

/// Without an agent, and without another attempt to get one.
fn fail(view: &View) -> Step {
    match view.running_at {
        None => Step::Fail(reason::NO_WORKER),
        Some(_) => Step::Fail(reason::AGENT_LOST),
    }
}

/// The end reason of a session whose room closed by itself.
pub fn closed_reason(view: &View) -> &'static str {
    if view.visited {
        reason::COMPLETED
    } else {
        reason::ABANDONED
    }
}
