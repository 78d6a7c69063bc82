//! What became of a dial, in LiveKit's answer to it.

use patchbay_domain::call::{CallEvent, reason, reason_of_status};
use patchbay_livekit::{Answered, Error as LiveKitError};

/// How a dial ended.
pub(super) struct Conclusion {
    /// What it means for the call.
    pub event: CallEvent,
    /// LiveKit's id of the call.
    pub sip_call_id: Option<String>,
    /// The status that the carrier answered.
    pub sip_status: Option<u16>,
    /// Words of the carrier or of LiveKit.
    pub detail: Option<String>,
}

impl Conclusion {
    /// One with these words.
    pub fn of(event: CallEvent, detail: String) -> Self {
        Self {
            event,
            sip_call_id: None,
            sip_status: None,
            detail: Some(detail),
        }
    }
}

impl From<Result<Answered, LiveKitError>> for Conclusion {
    fn from(outcome: Result<Answered, LiveKitError>) -> Self {
        let error = match outcome {
            Ok(answered) => {
                return Self {
                    event: CallEvent::Answered,
                    sip_call_id: Some(answered.sip_call_id),
                    sip_status: None,
                    detail: None,
                };
            }
            Err(error) => error,
        };
        match error {
            LiveKitError::Refused { sip: Some(sip), .. } => Self {
                sip_status: Some(sip.code),
                ..Self::of(CallEvent::Refused(reason_of_status(sip.code)), sip.words)
            },
            LiveKitError::Refused {
                status, message, ..
            } => {
                let reason = match status {
                    408 => reason::NO_ANSWER,
                    500.. => reason::LIVEKIT_UNAVAILABLE,
                    _ => reason::TRUNK_FAILURE,
                };
                Self::of(CallEvent::Refused(reason), message)
            }
            LiveKitError::Token(_) => {
                let event = CallEvent::Refused(reason::LIVEKIT_UNAVAILABLE);
                Self::of(event, error.summary())
            }
            // It may ring, or not: the room will show.
            LiveKitError::Unreachable(_) | LiveKitError::Garbled(_) => {
                Self::of(CallEvent::Abandoned, error.summary())
            }
        }
    }
}
