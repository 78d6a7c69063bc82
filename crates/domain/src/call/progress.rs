//! The recorded state of a call, and how an event changes it.

use super::{
    reason,
    state::{CallState, Direction, HangupBy},
};
use crate::end_reason;

/// LiveKit's disconnect reasons after which the participant may come back.
const NOT_GONE: [&str; 5] = [
    "",
    "UNKNOWN_REASON",
    "SERVER_SHUTDOWN",
    "MIGRATION",
    "STATE_MISMATCH",
];

/// The recorded state of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Who calls whom.
    pub direction: Direction,
    /// Its state.
    pub state: CallState,
    /// Why it ended.
    pub reason: Option<String>,
    /// Which side ended it.
    pub hangup_by: Option<HangupBy>,
    /// LiveKit's reason for the disconnect of the call's participant.
    pub left: Option<String>,
    /// Whether a process still waits for the response to the dial request or to a transfer.
    pub awaited: bool,
}

/// What has happened to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEvent {
    /// The start was requested.
    Started,
    /// The phone is ringing.
    Ringing,
    /// The call was answered.
    Answered,
    /// The dial failed, for this reason.
    Refused(&'static str),
    /// The call's participant left the room, with LiveKit's reason.
    Left(String),
    /// No process waits for the response to the dial request or to a transfer any longer.
    Abandoned,
    /// The call's participant has been missing for longer than the grace period.
    Lost,
    /// The session is stopping or has ended for this reason; `true` if it failed.
    SessionOver(String, bool),
    /// Only this call is to end, for this reason.
    HangUp(&'static str),
}

impl Progress {
    /// The state after the event.
    #[must_use]
    pub fn after(mut self, event: &CallEvent) -> Self {
        if self.state.is_terminal() {
            return self;
        }
        match event {
            CallEvent::Started if self.state == CallState::Created => {
                self.state = CallState::Dialing;
            }
            CallEvent::Ringing if self.state == CallState::Dialing => {
                self.state = CallState::Ringing;
            }
            // A repeated event changes nothing: a response that is pending by then is that of a transfer.
            CallEvent::Answered
                if matches!(self.state, CallState::Dialing | CallState::Ringing) =>
            {
                self.state = CallState::Answered;
                self.awaited = false;
            }
            // A dial request that fails after the call was answered means that the call has ended.
            CallEvent::Refused(reason) if self.state != CallState::Created => {
                self.awaited = false;
                if self.state != CallState::Answered {
                    return self.over(CallState::Failed, reason, None);
                }
                self.left
                    .get_or_insert_with(|| "CLIENT_INITIATED".to_owned());
            }
            CallEvent::Left(word) if self.state.is_live() && !NOT_GONE.contains(&&**word) => {
                self.left.get_or_insert_with(|| word.clone());
            }
            CallEvent::Abandoned => self.awaited = false,
            CallEvent::Lost if self.state != CallState::Created && !self.awaited => {
                // The room is there and the participant is not: an answered call was hung up, and an inbound
                // caller has given up.
                return match (self.state, self.direction) {
                    _ if self.left.is_some() => self.concluded(),
                    (CallState::Answered, _) => {
                        self.over(CallState::Ended, reason::COMPLETED, None)
                    }
                    (_, Direction::Inbound) => {
                        self.over(CallState::Canceled, reason::CANCELED, None)
                    }
                    _ => self.over(CallState::Failed, reason::LIVEKIT_UNAVAILABLE, None),
                };
            }
            CallEvent::SessionOver(reason, failed) => return self.stopped(reason, *failed),
            CallEvent::HangUp(reason) => return self.stopped(reason, false),
            _ => {}
        }
        self.concluded()
    }

    /// Ends the call if its participant has left and no pending response can say more.
    fn concluded(self) -> Self {
        let Some(left) = self.left.clone() else {
            return self;
        };
        let (who, why) = match self.direction {
            Direction::Outbound => (HangupBy::Callee, reason::CALLEE_HANGUP),
            Direction::Inbound => (HangupBy::Caller, reason::CALLER_HANGUP),
        };
        let on_purpose = left == "CLIENT_INITIATED" || left == "USER_REJECTED";
        match (self.state, self.direction) {
            _ if self.awaited => self,
            (CallState::Answered, _) if on_purpose => self.over(CallState::Ended, why, Some(who)),
            (CallState::Answered, _) => self.over(CallState::Ended, reason::COMPLETED, None),
            (_, Direction::Inbound) if on_purpose => self.over(CallState::Canceled, why, Some(who)),
            (_, Direction::Inbound) if left == "USER_UNAVAILABLE" => {
                self.over(CallState::Failed, reason::NO_ANSWER, None)
            }
            (_, Direction::Inbound) => self.over(CallState::Canceled, reason::CANCELED, None),
            _ => {
                let reason = match &*left {
                    "USER_UNAVAILABLE" => reason::NO_ANSWER,
                    "USER_REJECTED" => reason::DECLINED,
                    _ => reason::TRUNK_FAILURE,
                };
                self.over(CallState::Failed, reason, None)
            }
        }
    }

    /// Ends the call from Patchbay's side.
    fn stopped(self, why: &str, failed: bool) -> Self {
        let by = match why {
            reason::AGENT_HANGUP => Some(HangupBy::Agent),
            // The room closed by itself: it is unknown who hung up.
            end_reason::COMPLETED | end_reason::ABANDONED => None,
            _ => Some(HangupBy::Us),
        };
        match self.state {
            CallState::Answered => {
                let completed = [end_reason::STOPPED, end_reason::ABANDONED];
                let why = if completed.contains(&why) {
                    reason::COMPLETED
                } else {
                    why
                };
                self.over(CallState::Ended, why, by)
            }
            _ if failed => self.over(CallState::Failed, why, None),
            _ => self.over(CallState::Canceled, reason::CANCELED, by),
        }
    }

    fn over(mut self, state: CallState, reason: &str, by: Option<HangupBy>) -> Self {
        self.state = state;
        self.reason = Some(reason.to_owned());
        self.hangup_by = by;
        self.awaited = false;
        self
    }
}
