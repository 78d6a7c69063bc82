//! Errors of LiveKit requests.

use patchbay_domain::text::without_quotes;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No response in time: the request may or may not have taken effect.
    #[error("LiveKit did not answer: {0}")]
    Unreachable(String),
    /// An error response. The server's message may contain names of rooms and people and numbers, and errors are
    /// logged: so it is available only as a field.
    #[error("LiveKit answered {status} {code}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Twirp's error code, such as `not_found`; empty if the body is no Twirp error.
        code: String,
        /// The server's message.
        message: String,
        /// The SIP status from the other side of a phone call.
        sip: Option<SipStatus>,
    },
    /// A response that cannot be decoded.
    #[error("LiveKit answered something unreadable: {}", without_quotes(.0))]
    Garbled(String),
    /// The access token could not be signed.
    #[error("no access token: {0}")]
    Token(String),
}

/// The response of a SIP peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipStatus {
    /// Status code, such as 486.
    pub code: u16,
    /// Reason phrase, such as `Busy Here`.
    pub words: String,
}

impl Error {
    /// A description without the server's message, safe for clients and logs.
    pub fn summary(&self) -> String {
        match self {
            Self::Unreachable(_) => "LiveKit did not answer".to_owned(),
            Self::Refused { status, .. } => format!("LiveKit refused with status {status}"),
            Self::Garbled(_) => "LiveKit gave an answer that cannot be read".to_owned(),
            Self::Token(_) => "LiveKit cannot be called with the settings given".to_owned(),
        }
    }

    /// Whether the requested entity does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "not_found")
    }
}
