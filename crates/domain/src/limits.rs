//! What a tenant may use.

mod numbers;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::text::Text;

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// Telephone calls at a time, in both directions.
    #[schema(minimum = 1)]
    pub concurrent_calls: Option<u32>,
    /// Telephone calls that begin in a minute.
    #[schema(minimum = 1)]
    pub calls_per_minute: Option<u32>,
    /// Longest telephone call, in seconds from the answer on.
    #[schema(minimum = 1)]
    pub max_call_seconds: Option<u32>,
    /// Megabytes, of 1,000,000 bytes, of all files together; null for any.
    #[schema(minimum = 1)]
    pub file_megabytes: Option<u32>,
    /// Only numbers that begin with one of these may be called; null for any.
    #[schema(max_items = 200, value_type = Option<Vec<Text<2, 16>>>)]
    pub allowed_prefixes: Option<Vec<String>>,
    /// Numbers that begin with one of these may not be called, whatever is allowed.
    #[schema(max_items = 200, value_type = Option<Vec<Text<2, 16>>>)]
    pub denied_prefixes: Option<Vec<String>>,
    /// Whether emergency numbers may be called; they may not by default.
    pub emergency_calls: Option<bool>,
}

/// What a tenant's telephone may do; 0 for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Calls at a time.
    pub concurrent: u32,
    /// Calls that begin in a minute.
    pub per_minute: u32,
    /// Longest call, in seconds from the answer on.
    pub seconds: u32,
}

/// Whether a text may be the beginning of a number: `+` and 1 to 15 digits.
pub fn is_prefix(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (1..=15).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit())
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

    /// What the telephone may do, as the installation has it where nothing is set.
    pub fn lines(&self, installation: Lines) -> Lines {
        Lines {
            concurrent: self.concurrent_calls.unwrap_or(installation.concurrent),
            per_minute: self.calls_per_minute.unwrap_or(installation.per_minute),
            seconds: self.max_call_seconds.unwrap_or(installation.seconds),
        }
    }
}
