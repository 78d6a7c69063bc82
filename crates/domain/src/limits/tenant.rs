//! The limits of one tenant, as the operator sets them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rates::{CallLimits, Rates};
use crate::{invalid::Invalid, phone::normalise_prefix};

/// Limits of one tenant, set by the operator. Those that are null have the installation's values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct TenantLimits {
    /// Reads per minute of all its keys together.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub reads_per_minute: Option<u32>,
    /// Changes per minute of all its keys together.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub writes_per_minute: Option<u32>,
    /// Starts and tool calls per minute of all its keys together.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub starts_per_minute: Option<u32>,
    /// Concurrent sessions, including those of phone calls.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub concurrent_sessions: Option<u32>,
    /// Concurrent phone calls, in both directions.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub concurrent_calls: Option<u32>,
    /// New phone calls per minute.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub calls_per_minute: Option<u32>,
    /// Maximum duration of a phone call in seconds, counted from the answer.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub max_call_seconds: Option<u32>,
    /// Megabytes, of 1,000,000 bytes, of all files together; null for no limit.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub file_megabytes: Option<u32>,
    /// Only numbers that begin with one of these may be called; null for all numbers.
    #[cfg_attr(
        feature = "openapi",
        schema(max_items = 200, value_type = Option<Vec<crate::text::Text<2, 16>>>)
    )]
    pub allowed_prefixes: Option<Vec<String>>,
    /// Numbers that begin with one of these may not be called, even if an allowed prefix matches.
    #[cfg_attr(
        feature = "openapi",
        schema(max_items = 200, value_type = Option<Vec<crate::text::Text<2, 16>>>)
    )]
    pub denied_prefixes: Option<Vec<String>>,
    /// Whether emergency numbers, such as 112 and 911, may be called; false by default.
    pub emergency_calls: Option<bool>,
}

/// Whether a text can be a prefix of numbers: `+` and 1 to 15 digits, no `0` first. Others would match nothing,
/// and so deny nothing.
pub fn is_prefix(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    let is_long = (1..=15).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
    is_long && normalise_prefix(text).is_some()
}

impl TenantLimits {
    /// Reads stored limits. Unreadable ones are an error: the installation's values could allow what the operator
    /// has forbidden. Unknown limits are ignored, so that an upgrade can be rolled back.
    pub fn from_stored(stored: Value) -> Result<Self, Invalid> {
        // serde would read an array as the limits in their order.
        if !stored.is_object() {
            return Err(Invalid::new("invalid_type", "an object is needed"));
        }
        let limits: Self = serde_json::from_value(stored)
            .map_err(|error| Invalid::new("invalid_value", error.to_string()))?;
        limits.check().map_err(|(name, invalid)| {
            Invalid::new(&invalid.code, format!("`{name}`: {}", invalid.message))
        })?;
        Ok(limits)
    }

    /// Validates the limits; the error names the limit. Zero would mean no limit.
    pub fn check(&self) -> Result<(), (&'static str, Invalid)> {
        let out_of_range = |name, message| Err((name, Invalid::new("out_of_range", message)));
        for (name, limit) in [
            ("reads_per_minute", self.reads_per_minute),
            ("writes_per_minute", self.writes_per_minute),
            ("starts_per_minute", self.starts_per_minute),
            ("concurrent_sessions", self.concurrent_sessions),
            ("concurrent_calls", self.concurrent_calls),
            ("calls_per_minute", self.calls_per_minute),
            ("max_call_seconds", self.max_call_seconds),
            ("file_megabytes", self.file_megabytes),
        ] {
            if limit == Some(0) {
                return out_of_range(name, "at least 1 is needed");
            }
        }
        for (name, prefixes) in [
            ("allowed_prefixes", &self.allowed_prefixes),
            ("denied_prefixes", &self.denied_prefixes),
        ] {
            let is_wrong =
                |list: &Vec<String>| list.len() > 200 || !list.iter().all(|p| is_prefix(p));
            if prefixes.as_ref().is_some_and(is_wrong) {
                return out_of_range(name, "at most 200 of `+` and 1 to 15 digits");
            }
        }
        Ok(())
    }

    /// The rates, with the installation's where none is set.
    pub fn rates(&self, installation: Rates) -> Rates {
        Rates {
            reads: self.reads_per_minute.unwrap_or(installation.reads),
            writes: self.writes_per_minute.unwrap_or(installation.writes),
            starts: self.starts_per_minute.unwrap_or(installation.starts),
        }
    }

    /// Maximum concurrent sessions, the installation's if none is set; 0 for no limit.
    pub fn sessions(&self, installation: u32) -> u32 {
        self.concurrent_sessions.unwrap_or(installation)
    }

    /// The limits of calls, with the installation's where none is set.
    pub fn call_limits(&self, installation: CallLimits) -> CallLimits {
        CallLimits {
            concurrent: self.concurrent_calls.unwrap_or(installation.concurrent),
            per_minute: self.calls_per_minute.unwrap_or(installation.per_minute),
            seconds: self.max_call_seconds.unwrap_or(installation.seconds),
        }
    }
}
