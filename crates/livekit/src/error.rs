//! Why a call of LiveKit failed.

use patchbay_domain::text::without_quotes;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer in time: the call may or may not have taken effect.
    #[error("LiveKit did not answer: {0}")]
    Unreachable(String),
    /// An answer that says no. The server's words may name rooms, people and numbers, and errors go
    /// into logs: they are told to those alone who ask for the field.
    #[error("LiveKit answered {status} {code}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Twirp's error code, such as `not_found`; empty where the body is no Twirp error.
        code: String,
        /// The server's words.
        message: String,
        /// What the other side of a telephone call answered.
        sip: Option<SipStatus>,
    },
    /// An answer that is no LiveKit answer.
    #[error("LiveKit answered something unreadable: {}", without_quotes(.0))]
    Garbled(String),
    /// The token for the call could not be made.
    #[error("no access token: {0}")]
    Token(String),
}

/// What a SIP peer answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipStatus {
    /// Status code, such as 486.
    pub code: u16,
    /// Its words, such as `Busy Here`.
    pub words: String,
}

impl Error {
    /// What happened, in words of ours that are fit for strangers.
    pub fn summary(&self) -> String {
        match self {
            Self::Unreachable(_) => "LiveKit did not answer".to_owned(),
            Self::Refused { status, .. } => format!("LiveKit refused with status {status}"),
            Self::Garbled(_) => "LiveKit gave an answer that cannot be read".to_owned(),
            Self::Token(_) => "LiveKit cannot be called with the settings given".to_owned(),
        }
    }

    /// Whether the thing that was named does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "not_found")
    }
}
