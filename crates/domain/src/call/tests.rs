//! The state machine, in every order.

use super::*;

fn call(direction: Direction, state: CallState, awaited: bool) -> Progress {
    Progress {
        direction,
        state,
        reason: state.is_terminal().then(|| "earlier".to_owned()),
        hangup_by: None,
        left: None,
        awaited,
    }
}

fn left(word: &str) -> CallEvent {
    CallEvent::Left(word.to_owned())
}

fn over(reason: &str, failed: bool) -> CallEvent {
    CallEvent::SessionOver(reason.to_owned(), failed)
}

/// Initial state, event and expected outcome, for outbound calls without a pending response.
#[test]
fn the_table_of_transitions() {
    use CallState::{Answered, Canceled, Created, Dialing, Ended, Failed, Ringing};
    for (from, event, to, reason) in [
        (Created, CallEvent::Started, Dialing, None),
        (Created, CallEvent::Ringing, Created, None),
        (Created, CallEvent::Answered, Created, None),
        (Created, CallEvent::Refused("busy"), Created, None),
        (Created, CallEvent::Lost, Created, None),
        (Created, over("stopped", false), Canceled, Some("canceled")),
        (Created, over("no_worker", true), Failed, Some("no_worker")),
        (Dialing, CallEvent::Started, Dialing, None),
        (Dialing, CallEvent::Ringing, Ringing, None),
        (Dialing, CallEvent::Answered, Answered, None),
        (
            Dialing,
            CallEvent::Refused("declined"),
            Failed,
            Some("declined"),
        ),
        (Dialing, left("USER_UNAVAILABLE"), Failed, Some("no_answer")),
        (Dialing, left("USER_REJECTED"), Failed, Some("declined")),
        (
            Dialing,
            left("SIP_TRUNK_FAILURE"),
            Failed,
            Some("trunk_failure"),
        ),
        (Dialing, left("SERVER_SHUTDOWN"), Dialing, None),
        (
            Dialing,
            CallEvent::Lost,
            Failed,
            Some("livekit_unavailable"),
        ),
        (Dialing, over("no_worker", true), Failed, Some("no_worker")),
        (Dialing, over("stopped", false), Canceled, Some("canceled")),
        (
            Dialing,
            CallEvent::HangUp("stopped"),
            Canceled,
            Some("canceled"),
        ),
        (Ringing, CallEvent::Ringing, Ringing, None),
        (Ringing, CallEvent::Answered, Answered, None),
        (Ringing, CallEvent::Refused("busy"), Failed, Some("busy")),
        (
            Ringing,
            over("agent_lost", true),
            Failed,
            Some("agent_lost"),
        ),
        (Ringing, over("stopped", false), Canceled, Some("canceled")),
        (Answered, CallEvent::Ringing, Answered, None),
        (
            Answered,
            left("CLIENT_INITIATED"),
            Ended,
            Some("callee_hangup"),
        ),
        (Answered, left("ROOM_DELETED"), Ended, Some("completed")),
        (Answered, CallEvent::Lost, Ended, Some("completed")),
        (Answered, over("stopped", false), Ended, Some("completed")),
        (
            Answered,
            over("agent_hangup", false),
            Ended,
            Some("agent_hangup"),
        ),
        (
            Answered,
            over("max_duration", false),
            Ended,
            Some("max_duration"),
        ),
        (
            Answered,
            over("agent_lost", true),
            Ended,
            Some("agent_lost"),
        ),
    ] {
        let before = call(Direction::Outbound, from, false);
        let after = before.after(&event);
        assert_eq!(after.state, to, "{from:?} {event:?}");
        assert_eq!(after.reason.as_deref(), reason, "{from:?} {event:?}");
    }
}

#[test]
fn who_hung_up_is_known() {
    let answered = call(Direction::Outbound, CallState::Answered, false);
    let by = |call: &Progress, event| call.clone().after(&event).hangup_by;
    assert_eq!(
        by(&answered, left("CLIENT_INITIATED")),
        Some(HangupBy::Callee)
    );
    assert_eq!(by(&answered, over("stopped", false)), Some(HangupBy::Us));
    assert_eq!(
        by(&answered, over("agent_hangup", false)),
        Some(HangupBy::Agent)
    );
    let ringing = call(Direction::Inbound, CallState::Ringing, false);
    let gone = ringing.clone().after(&left("CLIENT_INITIATED"));
    assert_eq!(gone.state, CallState::Canceled);
    assert_eq!(gone.reason.as_deref(), Some("caller_hangup"));
    assert_eq!(gone.hangup_by, Some(HangupBy::Caller));
}

#[test]
fn what_nobody_can_tell_is_not_told() {
    let answered = call(Direction::Inbound, CallState::Answered, false);
    let closed = answered.after(&over("completed", false));
    assert_eq!((closed.state, closed.hangup_by), (CallState::Ended, None));
    let ringing = || call(Direction::Inbound, CallState::Ringing, false);
    for (event, state, reason) in [
        (CallEvent::Lost, CallState::Canceled, "canceled"),
        (left("CONNECTION_TIMEOUT"), CallState::Canceled, "canceled"),
        (left("USER_UNAVAILABLE"), CallState::Failed, "no_answer"),
    ] {
        let over = ringing().after(&event);
        let outcome = (over.state, over.reason.as_deref(), over.hangup_by);
        assert_eq!(outcome, (state, Some(reason), None), "{event:?}");
    }
}

/// While a transfer is pending the participant leaves; its outcome gives the reason.
#[test]
fn a_transfer_says_why_a_telephone_has_left() {
    let handed_over = CallEvent::HangUp(reason::TRANSFERRED);
    for (then, reason) in [
        (handed_over, "transferred"),
        (CallEvent::Abandoned, "callee_hangup"),
    ] {
        let asked = call(Direction::Outbound, CallState::Answered, true);
        let left = asked
            .after(&CallEvent::Answered)
            .after(&left("CLIENT_INITIATED"));
        assert_eq!(
            left.clone().after(&CallEvent::Lost).state,
            CallState::Answered
        );
        assert_eq!(left.after(&then).reason.as_deref(), Some(reason));
    }
    // The process that requested it is gone, and the participant too.
    let mut asked =
        call(Direction::Outbound, CallState::Answered, true).after(&left("CLIENT_INITIATED"));
    asked.awaited = false;
    let over = asked.after(&CallEvent::Lost);
    assert_eq!(over.reason.as_deref(), Some("callee_hangup"));
}

#[test]
fn a_sip_status_has_one_reason() {
    for (statuses, reason) in [
        (&[486, 600][..], "busy"),
        (&[603, 607, 608], "declined"),
        (&[408, 480, 487], "no_answer"),
        (&[404, 484, 604], "invalid_number"),
        (&[401, 403, 407], "trunk_auth"),
        (&[500, 502, 503, 504, 488, 606], "trunk_failure"),
    ] {
        for status in statuses {
            assert_eq!(reason_of_status(*status), reason, "{status}");
        }
    }
}

/// Every order of a scenario's events, each delivered up to twice, ends the same.
#[test]
fn any_order_and_number_of_events_ends_the_same() {
    use CallEvent::{Answered, Refused, Ringing};
    for (scenario, state, reason) in [
        (
            vec![Ringing, Answered, left("CLIENT_INITIATED")],
            CallState::Ended,
            "callee_hangup",
        ),
        (
            vec![Ringing, Refused("busy"), left("USER_REJECTED")],
            CallState::Failed,
            "busy",
        ),
        (
            vec![Refused("no_answer"), left("USER_UNAVAILABLE")],
            CallState::Failed,
            "no_answer",
        ),
        (
            vec![
                Ringing,
                Answered,
                left("SERVER_SHUTDOWN"),
                left("CLIENT_INITIATED"),
            ],
            CallState::Ended,
            "callee_hangup",
        ),
    ] {
        let twice: Vec<_> = scenario.iter().chain(&scenario).cloned().collect();
        for order in orders(twice.len()) {
            let mut now = call(Direction::Outbound, CallState::Dialing, true);
            for index in &order {
                let before = now.state;
                now = now.after(&twice[*index]);
                assert!(is_legal(before, now.state), "{before:?} → {:?}", now.state);
            }
            assert_eq!(now.state, state, "{order:?} of {scenario:?}");
            assert_eq!(
                now.reason.as_deref(),
                Some(reason),
                "{order:?} of {scenario:?}"
            );
        }
    }
}

fn is_legal(from: CallState, to: CallState) -> bool {
    use CallState::{Answered, Canceled, Created, Dialing, Ended, Failed, Ringing};
    from == to
        || match from {
            Created => matches!(to, Dialing | Failed | Canceled),
            Dialing => matches!(to, Ringing | Answered | Ended | Failed | Canceled),
            Ringing => matches!(to, Answered | Ended | Failed | Canceled),
            Answered => to == Ended,
            Ended | Failed | Canceled => false,
        }
}

/// Every permutation of `count` indexes.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for index in 0..count {
        all = all
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=order.len()).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, index);
                    order
                })
            })
            .collect();
    }
    all
}

/// Any two events in any state: the next state is a legal one, and terminal ones stay.
#[test]
fn nothing_leads_anywhere_illegal() {
    let events = [
        CallEvent::Started,
        CallEvent::Ringing,
        CallEvent::Answered,
        CallEvent::Refused("busy"),
        left("CLIENT_INITIATED"),
        left("ROOM_DELETED"),
        left("SERVER_SHUTDOWN"),
        CallEvent::Abandoned,
        CallEvent::Lost,
        over("stopped", false),
        over("no_worker", true),
        CallEvent::HangUp("stopped"),
    ];
    for direction in [Direction::Outbound, Direction::Inbound] {
        for state in CallState::ALL {
            for (first, second) in events
                .iter()
                .flat_map(|a| events.iter().map(move |b| (a, b)))
            {
                let one = call(direction, state, true).after(first);
                assert!(is_legal(state, one.state), "{state:?} {first:?}");
                let two = one.clone().after(second);
                assert!(is_legal(one.state, two.state), "{one:?} {second:?}");
                assert_eq!(two.state.is_terminal(), two.reason.is_some());
            }
        }
    }
}
