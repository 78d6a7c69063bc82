//! What is known of a call, and what it becomes with what is told of it.

use super::{
    reason,
    state::{CallState, Direction, HangupBy},
};
use crate::end_reason;

/// LiveKit's reasons for a leaving that do not mean that the telephone is gone for good.
const NOT_GONE: [&str; 5] = [
    "",
    "UNKNOWN_REASON",
    "SERVER_SHUTDOWN",
    "MIGRATION",
    "STATE_MISMATCH",
];

/// What is known of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Who calls whom.
    pub direction: Direction,
    /// Where it stands.
    pub state: CallState,
    /// Why it is over.
    pub reason: Option<String>,
    /// Who ended it.
    pub hangup_by: Option<HangupBy>,
    /// LiveKit's word for the leaving of the telephone.
    pub left: Option<String>,
    /// Whether a process waits for the answer to the dial, or for the outcome of a transfer.
    pub awaited: bool,
}

/// What is told of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEvent {
    /// Start was asked for.
    Started,
    /// The telephone rings.
    Ringing,
    /// Somebody answered.
    Answered,
    /// The dial failed, for this reason.
    Refused(&'static str),
    /// The telephone left the room; LiveKit's word for why.
    Left(String),
    /// Nobody waits for the answer to the dial, or the outcome of a transfer, any more.
    Abandoned,
    /// The telephone is out of sight for good.
    Lost,
    /// The session stops or is over for this reason; `true` where it has failed.
    SessionOver(String, bool),
    /// This telephone alone is to hang up, for this reason.
    HangUp(&'static str),
}

impl Progress {
    /// What is known after the event.
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
            // Again, it is no news: what is awaited by then is the outcome of a transfer.
            CallEvent::Answered
                if matches!(self.state, CallState::Dialing | CallState::Ringing) =>
            {
                self.state = CallState::Answered;
                self.awaited = false;
            }
            // A dial that fails after the call was answered tells of its end.
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
                // The room is in sight and the telephone is not: one that was answered has hung up, and one
                // that called in has given up.
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

    /// Ended if the telephone has left, and nothing is still to come that says more.
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

    /// Ended from this side.
    fn stopped(self, why: &str, failed: bool) -> Self {
        let by = match why {
            reason::AGENT_HANGUP => Some(HangupBy::Agent),
            // The room closed by itself: nobody can tell.
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
