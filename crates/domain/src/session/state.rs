//! Where sessions and their agent runs stand.

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Resolved and rendered; nothing in LiveKit yet.
    Created,
    /// Room and dispatch are under way; no agent has joined yet.
    Starting,
    /// The primary run's agent has joined.
    Running,
    /// Stop was asked for; the room is being deleted.
    Stopping,
    /// Over, as it should be.
    Ended,
    /// Over, because something failed.
    Failed,
}

impl SessionState {
    /// The name in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }

    /// Whether the session is over for good.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Ended | Self::Failed)
    }

    /// Whether somebody may be in the room.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }
}

impl TryFrom<String> for SessionState {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        from_name(&text)
    }
}

/// Where an agent run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Recorded; LiveKit has not been asked yet.
    Pending,
    /// LiveKit has the dispatch; no agent has joined for it.
    Dispatched,
    /// Its agent is in the room.
    Joined,
    /// Over with the session.
    Finished,
    /// Its agent left the room without saying why.
    Lost,
    /// No agent joined within the join deadline.
    NoShow,
}

impl RunState {
    /// The name in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Dispatched => "dispatched",
            Self::Joined => "joined",
            Self::Finished => "finished",
            Self::Lost => "lost",
            Self::NoShow => "no_show",
        }
    }
}

impl TryFrom<String> for RunState {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        from_name(&text)
    }
}

fn from_name<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, Invalid> {
    serde_json::from_value(name.into())
        .map_err(|error| Invalid::new("invalid_value", error.to_string()))
}
