//! What a call is, and where it stands.

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;

/// Who calls whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The agent calls somebody.
    Outbound,
    /// Somebody calls a number of the tenant.
    Inbound,
}

impl Direction {
    /// The name in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

impl TryFrom<String> for Direction {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        from_name(text)
    }
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// Recorded; nobody's telephone rings.
    Created,
    /// Started: the number is dialled as soon as the agent is in the room.
    Dialing,
    /// The telephone rings.
    Ringing,
    /// Somebody has answered.
    Answered,
    /// Over, after it was answered.
    Ended,
    /// Over, and never answered.
    Failed,
    /// Given up before it was answered.
    Canceled,
}

impl CallState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Dialing,
        Self::Ringing,
        Self::Answered,
        Self::Ended,
        Self::Failed,
        Self::Canceled,
    ];

    /// The name in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Dialing => "dialing",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Whether the call is over for good.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Ended | Self::Failed | Self::Canceled)
    }

    /// Whether it occupies a line.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Dialing | Self::Ringing | Self::Answered)
    }
}

impl TryFrom<String> for CallState {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        from_name(text)
    }
}

/// What the worker does when a machine answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AnswerDetection {
    /// It does not look who answers.
    #[default]
    Off,
    /// It finds out, and talks on.
    Report,
    /// It finds out, and hangs up on a machine.
    HangUp,
}

impl AnswerDetection {
    /// The name in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::HangUp => "hang_up",
        }
    }
}

impl TryFrom<String> for AnswerDetection {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        from_name(text)
    }
}

fn from_name<T: serde::de::DeserializeOwned>(name: String) -> Result<T, Invalid> {
    serde_json::from_value(name.into())
        .map_err(|error| Invalid::new("invalid_value", error.to_string()))
}
