//! Interpretation of LiveKit's response to a dial.

use patchbay_domain::call::{CallEvent, reason, reason_of_status};
use patchbay_livekit::{Answered, Error as LiveKitError};

/// Outcome of a dial.
pub(super) struct DialOutcome {
    /// Event for the call.
    pub event: CallEvent,
    /// SIP call id in LiveKit.
    pub sip_call_id: Option<String>,
    /// SIP status of the carrier's response.
    pub sip_status: Option<u16>,
    /// Message of the carrier or LiveKit.
    pub detail: Option<String>,
}

impl DialOutcome {
    /// An outcome with this message.
    pub fn new(event: CallEvent, detail: String) -> Self {
        Self {
            event,
            sip_call_id: None,
            sip_status: None,
            detail: Some(detail),
        }
    }
}

impl From<Result<Answered, LiveKitError>> for DialOutcome {
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
                ..Self::new(CallEvent::Refused(reason_of_status(sip.code)), sip.words)
            },
            LiveKitError::Refused {
                status, message, ..
            } => {
                let reason = match status {
                    408 => reason::NO_ANSWER,
                    500.. => reason::LIVEKIT_UNAVAILABLE,
                    _ => reason::TRUNK_FAILURE,
                };
                Self::new(CallEvent::Refused(reason), message)
            }
            LiveKitError::Token(_) => {
                let event = CallEvent::Refused(reason::LIVEKIT_UNAVAILABLE);
                Self::new(event, error.summary())
            }
            // The dial may have taken effect; the participants of the room show whether it has.
            LiveKitError::Unreachable(_) | LiveKitError::Garbled(_) => {
                Self::new(CallEvent::Abandoned, error.summary())
            }
        }
    }
}
