//! Runtime config specs: how an agent hears, thinks and speaks.
//!
//! What no worker executes yet is refused with `not_supported`, never silently kept.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::{Invalid, Violation};

/// A runtime config. Only the kind `echo` is executed today.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[expect(dead_code, reason = "fields of `NotSupported` exist to be refused")]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "kind": "echo",
    "greeting_tone": {"frequency_hz": 880, "duration_ms": 400},
    "limits": {"max_duration_seconds": 600}
}))]
pub struct RuntimeSpec {
    /// How the agent works. `pipeline` and `realtime` are refused with `not_supported`.
    pub kind: RuntimeKind,
    /// The tone that an `echo` agent plays when it joins.
    #[serde(default)]
    pub greeting_tone: GreetingTone,
    /// Bounds that the control plane itself enforces.
    #[serde(default)]
    pub limits: Limits,

    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    stt: NotSupported,
    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    llm: NotSupported,
    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    tts: NotSupported,
    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    turn_detection: NotSupported,
    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    interruptions: NotSupported,
    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    vad: NotSupported,
}

/// How an agent works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeKind {
    /// For development: a greeting tone, then the caller's audio back. Needs no provider.
    Echo,
}

impl<'de> Deserialize<'de> for RuntimeKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let invalid = match &*text {
            "echo" => return Ok(Self::Echo),
            "pipeline" | "realtime" => Invalid::new(
                "not_supported",
                format!("no worker executes the kind `{text}` yet; use `echo`"),
            ),
            _ => Invalid::new("invalid_value", format!("no kind `{text}`; use `echo`")),
        };
        Err(serde::de::Error::custom(invalid))
    }
}

/// A sine tone.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"frequency_hz": 880, "duration_ms": 400}))]
pub struct GreetingTone {
    /// Pitch in Hz.
    #[schema(minimum = 50, maximum = 8000)]
    pub frequency_hz: u32,
    /// Length in milliseconds; 0 for silence.
    #[schema(minimum = 0, maximum = 5000)]
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

/// Bounds of a session.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[expect(dead_code, reason = "fields of `NotSupported` exist to be refused")]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"max_duration_seconds": 600}))]
pub struct Limits {
    /// Seconds after which a running session is stopped with the reason `max_duration`.
    #[schema(minimum = 1, maximum = 86400)]
    pub max_duration_seconds: u32,

    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    idle_seconds: NotSupported,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_duration_seconds: 3600,
            idle_seconds: NotSupported,
        }
    }
}

/// A field that is planned but that nothing executes yet: any value is refused.
#[derive(Clone, Debug, Default)]
struct NotSupported;

impl<'de> Deserialize<'de> for NotSupported {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        let invalid = Invalid::new("not_supported", "no worker executes this field yet");
        Err(serde::de::Error::custom(invalid))
    }
}

impl RuntimeSpec {
    /// Checks the ranges of numbers.
    pub fn check(&self) -> Result<(), Vec<Violation>> {
        let ranges = [
            (
                "/greeting_tone/frequency_hz",
                self.greeting_tone.frequency_hz,
                50,
                8000,
            ),
            (
                "/greeting_tone/duration_ms",
                self.greeting_tone.duration_ms,
                0,
                5000,
            ),
            (
                "/limits/max_duration_seconds",
                self.limits.max_duration_seconds,
                1,
                86_400,
            ),
        ];
        let violations: Vec<_> = ranges
            .into_iter()
            .filter(|(_, value, low, high)| !(low..=high).contains(&value))
            .map(|(pointer, value, low, high)| {
                Invalid::new(
                    "out_of_range",
                    format!("{low} to {high} is allowed, not {value}"),
                )
                .at(pointer)
            })
            .collect();
        if violations.is_empty() {
            Ok(())
        } else {
            Err(violations)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refuses_what_nothing_executes() {
        for wrong in [
            json!({"kind": "pipeline"}),
            json!({"kind": "echo", "stt": {"provider": "x"}}),
            json!({"kind": "echo", "limits": {"max_duration_seconds": 5, "idle_seconds": 5}}),
        ] {
            let error = serde_json::from_value::<RuntimeSpec>(wrong).unwrap_err();
            assert_eq!(Invalid::parse(&error.to_string()).code, "not_supported");
        }
    }

    #[test]
    fn checks_ranges_and_serializes_only_what_is_executed() {
        let spec: RuntimeSpec =
            serde_json::from_value(json!({"kind": "echo", "greeting_tone": {"frequency_hz": 1}}))
                .unwrap();
        assert_eq!(
            spec.check().unwrap_err()[0].pointer,
            "/greeting_tone/frequency_hz"
        );
        let spec: RuntimeSpec = serde_json::from_value(json!({"kind": "echo"})).unwrap();
        let mut keys: Vec<_> = serde_json::to_value(&spec)
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        keys.sort();
        assert_eq!(keys, ["greeting_tone", "kind", "limits"]);
    }
}
