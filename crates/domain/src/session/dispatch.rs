//! The next step for an agent run that was dispatched and whose agent has not joined.
//!
//! LiveKit drops a dispatch for good if no worker takes it at once. Whether a worker has taken one is visible, so a
//! dispatch that was dropped is repeated, with a growing delay, until the join deadline.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    step::Step,
    view::{RunView, Timings},
};

/// The next step; `None` once the agent is overdue.
pub(super) fn next(run: &RunView, timings: &Timings, now: DateTime<Utc>) -> Option<Step> {
    let dispatched_at = run.dispatched_at.unwrap_or(run.created_at);
    let deadline = run.taken_at.unwrap_or(dispatched_at) + timings.join_deadline;
    if now >= deadline {
        return None;
    }
    let poll = deadline.min(now + timings.join_poll);
    if run.taken_at.is_some() {
        return Some(Step::Wait(poll));
    }
    let (count, last) = run.dispatches;
    let last = last.unwrap_or(dispatched_at);
    // The last repetition is early enough for a worker to take it.
    let latest = deadline - timings.dispatch_check;
    let check = (last + delay(timings.dispatch_check, count)).min(latest.max(last));
    if check <= last {
        return Some(Step::Wait(poll));
    }
    match now >= check {
        true => Some(Step::CheckDispatch(run.id)),
        false => Some(Step::Wait(poll.min(check))),
    }
}

/// Delay of the check after this many dispatches.
fn delay(first: TimeDelta, dispatches: i32) -> TimeDelta {
    first * (1 << (dispatches.clamp(1, 5) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests;

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds)
    }

    fn run(dispatches: i32, last: i64) -> RunView {
        RunView {
            dispatched_at: Some(at(0)),
            dispatches: (dispatches, Some(at(last))),
            ..tests::run(crate::session::RunState::Dispatched, 0)
        }
    }

    fn step(run: &RunView, now: i64) -> Option<Step> {
        next(run, &tests::timings(), at(now))
    }

    #[test]
    fn a_dispatch_that_nobody_takes_is_repeated_with_growing_delays_until_the_deadline() {
        let (mut now, mut repeated) = (0, Vec::new());
        let mut run = run(1, 0);
        while let Some(step) = step(&run, now) {
            match step {
                Step::Wait(until) => {
                    let next = (until - at(0)).num_milliseconds();
                    assert!(next > now, "a wait ends later than it begins");
                    now = next;
                }
                Step::CheckDispatch(_) => {
                    repeated.push(now);
                    run.dispatches = (run.dispatches.0 + 1, Some(at(now)));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(repeated, [1_000, 3_000, 7_000, 14_000]);
        assert_eq!(now, 15_000);
    }

    #[test]
    fn a_dispatch_that_was_taken_is_not_repeated_and_has_its_own_deadline() {
        let mut run = run(2, 3_000);
        run.taken_at = Some(at(7_000));
        assert_eq!(step(&run, 8_000), Some(Step::Wait(at(10_000))));
        assert_eq!(step(&run, 21_999), Some(Step::Wait(at(22_000))));
        assert_eq!(step(&run, 22_000), None);
    }

    #[test]
    fn a_run_of_an_earlier_version_is_checked_too() {
        let run = RunView {
            dispatches: (0, None),
            ..run(0, 0)
        };
        let check = Some(Step::CheckDispatch(run.id));
        assert_eq!(step(&run, 1_000), check);
    }

    #[test]
    fn the_delay_stays_within_bounds_whatever_is_stored() {
        for dispatches in [i32::MIN, -1, 0, 1, 5, i32::MAX] {
            let delay = delay(TimeDelta::seconds(1), dispatches);
            assert!((1..=16).contains(&delay.num_seconds()), "{dispatches}");
        }
    }
}
