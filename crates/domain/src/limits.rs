//! What a tenant may use.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What kind of request it is, for its rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Reads.
    Reads,
    /// Changes.
    Writes,
    /// What makes LiveKit, a telephone or somebody's tool work.
    Starts,
}

impl Class {
    /// The name in headers and settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Starts => "starts",
        }
    }
}

/// Requests per minute of each class; 0 for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Reads.
    pub reads: u32,
    /// Changes.
    pub writes: u32,
    /// Starts.
    pub starts: u32,
}

impl Rates {
    /// The rate of a class.
    pub const fn of(&self, class: Class) -> u32 {
        match class {
            Class::Reads => self.reads,
            Class::Writes => self.writes,
            Class::Starts => self.starts,
        }
    }
}

/// Limits of one tenant, set by the operator. What is null follows the installation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TenantLimits {
    /// Reads per minute of all its keys together.
    #[schema(minimum = 1)]
    pub reads_per_minute: Option<u32>,
    /// Changes per minute of all its keys together.
    #[schema(minimum = 1)]
    pub writes_per_minute: Option<u32>,
    /// Starts and tool calls per minute of all its keys together.
    #[schema(minimum = 1)]
    pub starts_per_minute: Option<u32>,
}

impl TenantLimits {
    /// The limits as they were stored; what cannot be read follows the installation.
    pub fn from_stored(stored: Value) -> Self {
        serde_json::from_value(stored).unwrap_or_default()
    }

    /// The rates, with those of the installation where none is set.
    pub fn rates(&self, installation: Rates) -> Rates {
        Rates {
            reads: self.reads_per_minute.unwrap_or(installation.reads),
            writes: self.writes_per_minute.unwrap_or(installation.writes),
            starts: self.starts_per_minute.unwrap_or(installation.starts),
        }
    }
}
