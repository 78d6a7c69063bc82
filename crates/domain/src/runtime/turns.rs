//! Turn detection, interruptions and voice activity detection.

use serde::{Deserialize, Serialize};

use super::range;
use crate::invalid::Violation;

/// When a user's turn ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"min_delay_ms": 500, "max_delay_ms": 3000}))
)]
pub struct TurnDetection {
    /// Minimum milliseconds of silence.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 10_000))]
    pub min_delay_ms: u32,
    /// Maximum milliseconds of silence.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 30_000))]
    pub max_delay_ms: u32,
}

impl Default for TurnDetection {
    fn default() -> Self {
        Self {
            min_delay_ms: 500,
            max_delay_ms: 3000,
        }
    }
}

impl TurnDetection {
    pub(super) fn check(&self, found: &mut Vec<Violation>) {
        let mut check = |field: &str, value: u32, allowed| {
            range::check(&format!("/turn_detection/{field}"), value, allowed, found);
        };
        check("min_delay_ms", self.min_delay_ms, (0.0, 10_000.0));
        let least = self.min_delay_ms.into();
        check("max_delay_ms", self.max_delay_ms, (least, 30_000.0));
    }
}

/// Whether a user may interrupt the agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"enabled": true, "min_duration_ms": 500, "min_words": 0}))
)]
pub struct Interruptions {
    /// Whether interruptions are allowed.
    pub enabled: bool,
    /// Milliseconds of speech that interrupt.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 10_000))]
    pub min_duration_ms: u32,
    /// Minimum number of words that interrupt the agent.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 50))]
    pub min_words: u32,
}

impl Default for Interruptions {
    fn default() -> Self {
        Self {
            enabled: true,
            min_duration_ms: 500,
            min_words: 0,
        }
    }
}

impl Interruptions {
    pub(super) fn check(&self, found: &mut Vec<Violation>) {
        let mut check = |field: &str, value: u32, allowed| {
            range::check(&format!("/interruptions/{field}"), value, allowed, found);
        };
        check("min_duration_ms", self.min_duration_ms, (0.0, 10_000.0));
        check("min_words", self.min_words, (0.0, 50.0));
    }
}

/// Voice activity detection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"threshold": 0.5, "min_speech_ms": 50, "min_silence_ms": 550}))
)]
pub struct Vad {
    /// Minimum probability of speech, 0.05 to 0.95.
    #[cfg_attr(feature = "openapi", schema(minimum = 0.05, maximum = 0.95))]
    pub threshold: f64,
    /// Milliseconds of speech that begin a turn.
    #[cfg_attr(feature = "openapi", schema(minimum = 10, maximum = 5000))]
    pub min_speech_ms: u32,
    /// Milliseconds of silence that end it.
    #[cfg_attr(feature = "openapi", schema(minimum = 10, maximum = 5000))]
    pub min_silence_ms: u32,
}

impl Default for Vad {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            min_speech_ms: 50,
            min_silence_ms: 550,
        }
    }
}

impl Vad {
    pub(super) fn check(&self, found: &mut Vec<Violation>) {
        let mut check = |field: &str, value: f64, allowed| {
            range::check(&format!("/vad/{field}"), value, allowed, found);
        };
        check("threshold", self.threshold, (0.05, 0.95));
        check("min_speech_ms", self.min_speech_ms.into(), (10.0, 5000.0));
        check("min_silence_ms", self.min_silence_ms.into(), (10.0, 5000.0));
    }
}
