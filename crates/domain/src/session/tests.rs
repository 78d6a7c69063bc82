//! The state machine, step by step.

use chrono::TimeDelta;

use super::*;
use crate::clock::Clock;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

pub(super) fn timings() -> Timings {
    Timings {
        start_deadline: TimeDelta::seconds(60),
        join_deadline: TimeDelta::seconds(15),
        dispatch_check: TimeDelta::seconds(1),
        join_poll: TimeDelta::seconds(2),
        grace: TimeDelta::seconds(10),
        reconcile: TimeDelta::seconds(30),
        call_poll: TimeDelta::seconds(1),
    }
}

pub(super) fn run(state: RunState, second: i64) -> RunView {
    RunView {
        id: Clock::system().new_id(),
        state,
        created_at: at(second),
        dispatched_at: Some(at(second)),
        dispatches: (1, Some(at(second))),
        taken_at: None,
        missing_since: None,
        left: false,
    }
}

fn running(runs: Vec<RunView>) -> View {
    View {
        state: SessionState::Running,
        starting_at: Some(at(0)),
        dispatched_at: Some(at(0)),
        running_at: Some(at(1)),
        room_missing_since: None,
        room_deleted: false,
        visited: true,
        max_duration: TimeDelta::seconds(600),
        runs,
        further: Vec::new(),
        calls: Vec::new(),
    }
}

fn starting(runs: Vec<RunView>) -> View {
    View {
        state: SessionState::Starting,
        running_at: None,
        ..running(runs)
    }
}

#[test]
fn a_start_is_tried_until_its_deadline() {
    let pending = run(RunState::Pending, 0);
    let view = View {
        dispatched_at: None,
        ..starting(vec![pending])
    };
    assert_eq!(
        next_step(&view, &timings(), at(59)),
        Step::CreateRoom(pending.id)
    );
    let failed = Step::Fail(reason::LIVEKIT_UNAVAILABLE);
    assert_eq!(next_step(&view, &timings(), at(60)), failed);
}

#[test]
fn an_agent_that_was_taken_and_does_not_come_is_replaced_once() {
    let first = RunView {
        taken_at: Some(at(0)),
        ..run(RunState::Dispatched, 0)
    };
    let view = starting(vec![first]);
    assert_eq!(next_step(&view, &timings(), at(1)), Step::Wait(at(3)));
    assert_eq!(next_step(&view, &timings(), at(14)), Step::Wait(at(15)));
    let replace = Step::Replace(first.id, RunState::NoShow);
    assert_eq!(next_step(&view, &timings(), at(15)), replace);
    let second = RunView {
        taken_at: Some(at(15)),
        ..run(RunState::Dispatched, 15)
    };
    let view = starting(vec![run(RunState::NoShow, 0), second]);
    assert_eq!(
        next_step(&view, &timings(), at(30)),
        Step::Fail(reason::NO_WORKER)
    );
}

#[test]
fn without_a_worker_a_session_fails_at_the_join_deadline() {
    let run = RunView {
        dispatches: (5, Some(at(14))),
        ..run(RunState::Dispatched, 0)
    };
    let view = starting(vec![run]);
    assert_eq!(next_step(&view, &timings(), at(14)), Step::Wait(at(15)));
    assert_eq!(
        next_step(&view, &timings(), at(15)),
        Step::Fail(reason::NO_WORKER)
    );
    let view = running(vec![run]);
    assert_eq!(
        next_step(&view, &timings(), at(15)),
        Step::Fail(reason::AGENT_LOST)
    );
}

#[test]
fn a_replacement_is_dispatched_until_its_deadline() {
    let second = run(RunState::Pending, 15);
    let view = starting(vec![run(RunState::NoShow, 0), second]);
    assert_eq!(
        next_step(&view, &timings(), at(74)),
        Step::Dispatch(second.id)
    );
    let failed = Step::Fail(reason::LIVEKIT_UNAVAILABLE);
    assert_eq!(next_step(&view, &timings(), at(75)), failed);
}

#[test]
fn an_agent_that_is_lost_while_running_is_replaced_once() {
    let mut first = run(RunState::Joined, 0);
    first.missing_since = Some(at(5));
    let waits = next_step(&running(vec![first]), &timings(), at(6));
    assert_eq!(waits, Step::Wait(at(15)), "LiveKit may only have restarted");
    let replace = Step::Replace(first.id, RunState::Lost);
    assert_eq!(
        next_step(&running(vec![first]), &timings(), at(15)),
        replace
    );
    first.left = true;
    assert_eq!(next_step(&running(vec![first]), &timings(), at(6)), replace);

    let mut second = run(RunState::Joined, 20);
    second.missing_since = Some(at(30));
    second.left = true;
    let view = running(vec![run(RunState::Lost, 0), second]);
    assert_eq!(
        next_step(&view, &timings(), at(31)),
        Step::Fail(reason::AGENT_LOST)
    );
}

#[test]
fn a_late_start_does_not_use_up_the_replacement_of_a_running_session() {
    let mut second = run(RunState::Joined, 15);
    second.missing_since = Some(at(40));
    second.left = true;
    let view = View {
        running_at: Some(at(20)),
        ..running(vec![run(RunState::NoShow, 0), second])
    };
    let replace = Step::Replace(second.id, RunState::Lost);
    assert_eq!(next_step(&view, &timings(), at(41)), replace);
}

#[test]
fn a_further_agent_comes_and_goes_without_the_session() {
    let mut view = running(vec![run(RunState::Joined, 0)]);
    let pending = run(RunState::Pending, 10);
    view.further = vec![pending];
    assert_eq!(
        next_step(&view, &timings(), at(11)),
        Step::Dispatch(pending.id)
    );
    let no_show = Step::Close(pending.id, RunState::NoShow);
    assert_eq!(next_step(&view, &timings(), at(70)), no_show);
    view.further[0].state = RunState::Dispatched;
    let check = Step::CheckDispatch(pending.id);
    assert_eq!(next_step(&view, &timings(), at(11)), check);
    view.further[0].taken_at = Some(at(10));
    assert_eq!(next_step(&view, &timings(), at(11)), Step::Wait(at(13)));
    assert_eq!(next_step(&view, &timings(), at(25)), no_show);
    view.further[0].state = RunState::Joined;
    assert_eq!(next_step(&view, &timings(), at(25)), Step::Wait(at(55)));
    view.further[0].missing_since = Some(at(25));
    assert_eq!(next_step(&view, &timings(), at(26)), Step::Wait(at(35)));
    let lost = Step::Close(pending.id, RunState::Lost);
    assert_eq!(next_step(&view, &timings(), at(35)), lost);
    view.further[0].left = true;
    assert_eq!(next_step(&view, &timings(), at(26)), lost);
    view.further[0].state = RunState::Lost;
    assert_eq!(next_step(&view, &timings(), at(27)), Step::Wait(at(57)));
}

#[test]
fn nobody_is_called_while_the_agent_is_out_of_sight() {
    let call = CallView {
        id: Clock::system().new_id(),
        direction: crate::call::Direction::Outbound,
        state: crate::call::CallState::Dialing,
        is_primary: false,
        sent_at: None,
        awaited_until: None,
        answered_at: None,
        missing_since: None,
        max_duration: TimeDelta::seconds(60),
    };
    let mut agent = run(RunState::Joined, 0);
    let view = |agent| View {
        calls: vec![call],
        ..running(vec![agent])
    };
    assert_eq!(
        next_step(&view(agent), &timings(), at(6)),
        Step::Dial(call.id)
    );
    agent.missing_since = Some(at(5));
    assert_eq!(
        next_step(&view(agent), &timings(), at(6)),
        Step::Wait(at(15))
    );
    let mut coming = run(RunState::Dispatched, 5);
    coming.taken_at = Some(at(5));
    assert_eq!(
        next_step(&view(coming), &timings(), at(6)),
        Step::Wait(at(8))
    );
}

#[test]
fn the_maximum_duration_counts_from_running() {
    let view = running(vec![run(RunState::Joined, 0)]);
    assert_eq!(next_step(&view, &timings(), at(590)), Step::Wait(at(601)));
    assert_eq!(
        next_step(&view, &timings(), at(601)),
        Step::Stop(reason::MAX_DURATION)
    );
}

#[test]
fn a_room_out_of_sight_is_given_time() {
    let mut view = running(vec![run(RunState::Joined, 0)]);
    view.room_missing_since = Some(at(100));
    assert_eq!(next_step(&view, &timings(), at(101)), Step::Wait(at(110)));
    assert_eq!(
        next_step(&view, &timings(), at(110)),
        Step::End(reason::COMPLETED)
    );
    view.visited = false;
    assert_eq!(
        next_step(&view, &timings(), at(110)),
        Step::End(reason::ABANDONED)
    );
}

#[test]
fn terminal_sessions_only_lose_their_room() {
    for state in [SessionState::Ended, SessionState::Failed] {
        let mut view = running(vec![]);
        view.state = state;
        assert_eq!(next_step(&view, &timings(), at(0)), Step::DeleteRoom);
        view.room_deleted = true;
        assert_eq!(next_step(&view, &timings(), at(0)), Step::Done);
    }
}

#[test]
fn stopping_deletes_the_room_and_then_ends() {
    let mut view = running(vec![]);
    view.state = SessionState::Stopping;
    assert_eq!(next_step(&view, &timings(), at(0)), Step::DeleteRoom);
    view.room_deleted = true;
    assert_eq!(
        next_step(&view, &timings(), at(0)),
        Step::End(reason::STOPPED)
    );
}
