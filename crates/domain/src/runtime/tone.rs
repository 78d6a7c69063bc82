//! The greeting tone of the kind `echo`.

use serde::{Deserialize, Serialize};

use super::range;
use crate::invalid::Violation;

/// A sine tone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", schema(example = json!({"frequency_hz": 880, "duration_ms": 400})))]
pub struct GreetingTone {
    /// Pitch in Hz.
    #[cfg_attr(feature = "openapi", schema(minimum = 50, maximum = 8000))]
    pub frequency_hz: u32,
    /// Length in milliseconds; 0 for silence.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 5000))]
    pub duration_ms: u32,
}

impl Default for GreetingTone {
    fn default() -> Self {
        Self {
            frequency_hz: 880,
            duration_ms: 400,
        }
    }
}

impl GreetingTone {
    pub(super) fn check(&self, found: &mut Vec<Violation>) {
        let mut check = |field: &str, value: u32, allowed| {
            range::check(&format!("/greeting_tone/{field}"), value, allowed, found);
        };
        check("frequency_hz", self.frequency_hz, (50.0, 8000.0));
        check("duration_ms", self.duration_ms, (0.0, 5000.0));
    }
}
