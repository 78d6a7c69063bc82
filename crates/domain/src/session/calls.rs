//! The next step for the phone calls of a session.

use chrono::{DateTime, Utc};

use super::{
    state::{RunState, SessionState},
    step::Step,
    view::{CallView, RunView, Timings, View},
};
use crate::{
    call::{CallState, Direction},
    end_reason as reason,
};

/// The next step for the calls, if there is nothing else to do before `wake`.
pub(super) fn next(
    view: &View,
    timings: &Timings,
    now: DateTime<Utc>,
    mut wake: DateTime<Utc>,
) -> Step {
    // A number is dialled only while an agent is in the room to talk to the callee.
    let here = |run: &RunView| run.state == RunState::Joined && run.missing_since.is_none();
    let ready = view.state == SessionState::Running && view.runs.iter().any(here);
    for call in &view.calls {
        match step(call, ready, timings, now) {
            Some(Step::Wait(until)) => wake = wake.min(until),
            Some(step) => return step,
            None => {}
        }
    }
    Step::Wait(wake)
}

fn step(call: &CallView, ready: bool, timings: &Timings, now: DateTime<Utc>) -> Option<Step> {
    let awaited = call.awaited_until.is_some_and(|until| now < until);
    let soon = Step::Wait(now + timings.call_poll);
    let gone = |since: DateTime<Utc>| match since + timings.grace {
        end if now >= end => Step::LoseCall(call.id),
        end => Step::Wait(end.min(now + timings.call_poll)),
    };
    match call.state {
        CallState::Dialing if call.sent_at.is_none() && call.direction == Direction::Outbound => {
            ready.then_some(Step::Dial(call.id))
        }
        CallState::Dialing | CallState::Ringing => Some(match call.missing_since {
            Some(since) if !awaited => gone(since),
            _ => soon,
        }),
        CallState::Answered => {
            let end = call.answered_at.unwrap_or(now) + call.max_duration;
            if now >= end && call.is_primary {
                return Some(Step::Stop(reason::MAX_DURATION));
            }
            if now >= end {
                return Some(Step::HangUp(call.id, reason::MAX_DURATION));
            }
            // A transferred participant leaves; the response to the transfer reports it.
            match call.missing_since.filter(|_| !awaited).map(gone) {
                Some(Step::Wait(until)) => Some(Step::Wait(until.min(end))),
                Some(step) => Some(step),
                None => Some(Step::Wait(end)),
            }
        }
        CallState::Created | CallState::Ended | CallState::Failed | CallState::Canceled => None,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{clock::Clock, session::tests::timings};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn call(state: CallState) -> CallView {
        CallView {
            id: Clock::system().new_id(),
            direction: Direction::Outbound,
            state,
            is_primary: true,
            sent_at: None,
            awaited_until: None,
            answered_at: None,
            missing_since: None,
            max_duration: TimeDelta::seconds(300),
        }
    }

    fn next(call: &CallView, ready: bool, second: i64) -> Option<Step> {
        step(call, ready, &timings(), at(second))
    }

    #[test]
    fn the_dial_waits_for_the_agent_and_is_made_once() {
        let mut call = call(CallState::Dialing);
        assert_eq!(next(&call, false, 1), None);
        let dial = Some(Step::Dial(call.id));
        assert_eq!(next(&call, true, 1), dial);
        call.sent_at = Some(at(1));
        let wait = Some(Step::Wait(at(3)));
        assert_eq!(next(&call, true, 2), wait);
    }

    #[test]
    fn a_telephone_out_of_sight_is_lost_when_nobody_awaits_it() {
        for state in [CallState::Dialing, CallState::Ringing] {
            let mut call = call(state);
            call.sent_at = Some(at(1));
            call.missing_since = Some(at(1));
            call.awaited_until = Some(at(20));
            let wait = Some(Step::Wait(at(16)));
            assert_eq!(next(&call, true, 15), wait);
            let lost = Some(Step::LoseCall(call.id));
            assert_eq!(next(&call, true, 20), lost);
            call.missing_since = Some(at(15));
            let wait = Some(Step::Wait(at(21)));
            assert_eq!(next(&call, true, 20), wait);
        }
    }

    #[test]
    fn a_call_that_is_handed_over_is_not_looked_for() {
        let mut call = call(CallState::Answered);
        call.answered_at = Some(at(0));
        call.missing_since = Some(at(1));
        call.awaited_until = Some(at(60));
        assert_eq!(next(&call, true, 20), Some(Step::Wait(at(300))));
        assert_eq!(next(&call, true, 60), Some(Step::LoseCall(call.id)));
    }

    #[test]
    fn an_answered_call_ends_in_time() {
        let mut call = call(CallState::Answered);
        call.answered_at = Some(at(10));
        let wait = Some(Step::Wait(at(310)));
        assert_eq!(next(&call, true, 20), wait);
        let stop = Some(Step::Stop(reason::MAX_DURATION));
        assert_eq!(next(&call, true, 310), stop);
        call.is_primary = false;
        let hang_up = Some(Step::HangUp(call.id, reason::MAX_DURATION));
        assert_eq!(next(&call, true, 310), hang_up);
        call.missing_since = Some(at(20));
        let lost = Some(Step::LoseCall(call.id));
        assert_eq!(next(&call, true, 30), lost);
    }
}
