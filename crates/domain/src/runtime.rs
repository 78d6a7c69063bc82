//! Runtime config specs: how an agent hears, thinks and speaks.
//!
//! What no worker executes yet is refused with `not_supported`, never silently kept.

use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use crate::{
    invalid::{Invalid, Violation},
    text::Text,
};

/// A runtime config. Give the fields of its kind alone: `greeting_tone` for `echo`, the others for
/// `pipeline`, which needs `stt`, `llm` and `tts`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({
        "kind": "pipeline",
        "stt": {"provider": "openai", "model": "gpt-4o-mini-transcribe", "options": {"language": "en"}},
        "llm": {
            "provider": "openai", "model": "gpt-4.1-mini", "options": {"temperature": 0.4},
            "fallbacks": [{"provider": "groq", "model": "llama-3.3-70b-versatile"}]
        },
        "tts": {"provider": "openai", "model": "gpt-4o-mini-tts", "options": {"voice": "alloy"}},
        "interruptions": {"enabled": true, "min_duration_ms": 500, "min_words": 0},
        "limits": {"max_duration_seconds": 600, "idle_seconds": 60}
    }))
)]
pub struct RuntimeSpec {
    /// How the agent works. `realtime` is refused with `not_supported`.
    pub kind: RuntimeKind,
    /// `echo`: the tone that the agent plays when it joins; 880 Hz for 400 ms by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeting_tone: Option<GreetingTone>,
    /// `pipeline`: speech to text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stt: Option<Model>,
    /// `pipeline`: the language model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm: Option<Model>,
    /// `pipeline`: text to speech.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tts: Option<Model>,
    /// `pipeline`: when a person is taken to have finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_detection: Option<TurnDetection>,
    /// `pipeline`: whether a person may cut the agent short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interruptions: Option<Interruptions>,
    /// `pipeline`: what counts as speech.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vad: Option<Vad>,
    /// Bounds of the session.
    #[serde(default)]
    pub limits: Limits,
}

/// How an agent works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RuntimeKind {
    /// For development: a greeting tone, then the caller's audio back. Needs no provider.
    Echo,
    /// Speech to text, a language model with tools, text to speech.
    Pipeline,
}

impl<'de> Deserialize<'de> for RuntimeKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let invalid = match &*text {
            "echo" => return Ok(Self::Echo),
            "pipeline" => return Ok(Self::Pipeline),
            "realtime" => Invalid::new(
                "not_supported",
                "no worker executes the kind `realtime` yet; use `pipeline`",
            ),
            _ => Invalid::new(
                "invalid_value",
                format!("no kind `{text}`; use `pipeline` or `echo`"),
            ),
        };
        Err(serde::de::Error::custom(invalid))
    }
}

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

/// A model of a provider, and what takes its place when it fails.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({
        "provider": "openai", "model": "gpt-4.1-mini", "options": {"temperature": 0.4},
        "fallbacks": [{"provider": "groq", "model": "llama-3.3-70b-versatile"}]
    }))
)]
pub struct Model {
    /// Provider, as the worker's plugins are called: `openai`, `deepgram`, `cartesia`, …
    pub provider: Text<1, 40>,
    /// Model, as the provider calls it.
    pub model: Text<1, 200>,
    /// Where the provider's API is, if not at the provider: one that the operator allows. The provider's key is not
    /// sent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Text<1, 500>>,
    /// How it is used.
    #[serde(default, skip_serializing_if = "ModelOptions::is_empty")]
    pub options: ModelOptions,
    /// What is used when it fails, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_items = 5))]
    pub fallbacks: Vec<FallbackModel>,
}

/// A model that takes another one's place.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"provider": "groq", "model": "llama-3.3-70b-versatile"}))
)]
pub struct FallbackModel {
    /// Provider.
    pub provider: Text<1, 40>,
    /// Model.
    pub model: Text<1, 200>,
    /// Where the provider's API is, if not at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Text<1, 500>>,
    /// How it is used.
    #[serde(default, skip_serializing_if = "ModelOptions::is_empty")]
    pub options: ModelOptions,
}

/// How a model is used. Give what applies to its part alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", schema(example = json!({"temperature": 0.4})))]
pub struct ModelOptions {
    /// `stt`: language that is spoken, such as `en`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Text<2, 20>>,
    /// `llm`: 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 2))]
    pub temperature: Option<f64>,
    /// `tts`: voice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<Text<1, 100>>,
    /// `tts`: 0.25 to 4 times the normal speed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 0.25, maximum = 4))]
    pub speed: Option<f64>,
}

impl ModelOptions {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// When a person is taken to have finished.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"min_delay_ms": 500, "max_delay_ms": 3000}))
)]
pub struct TurnDetection {
    /// Milliseconds of silence at least.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 10_000))]
    pub min_delay_ms: u32,
    /// Milliseconds of silence at most.
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

/// Whether a person may cut the agent short.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"enabled": true, "min_duration_ms": 500, "min_words": 0}))
)]
pub struct Interruptions {
    /// Whether they may.
    pub enabled: bool,
    /// Milliseconds of speech that it takes.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 10_000))]
    pub min_duration_ms: u32,
    /// Words that it takes.
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

/// What counts as speech.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"threshold": 0.5, "min_speech_ms": 50, "min_silence_ms": 550}))
)]
pub struct Vad {
    /// Probability of speech that it takes, 0.05 to 0.95.
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

/// Bounds of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"max_duration_seconds": 600, "idle_seconds": 60}))
)]
pub struct Limits {
    /// Seconds after which a running session is stopped with the reason `max_duration`.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 86400))]
    pub max_duration_seconds: u32,
    /// `pipeline`: seconds of silence on both sides after which the agent ends the session with the reason `idle`; never
    /// by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 5, maximum = 3600))]
    pub idle_seconds: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_duration_seconds: 3600,
            idle_seconds: None,
        }
    }
}

/// Most models that may take another one's place.
const MOST_FALLBACKS: usize = 5;

impl RuntimeSpec {
    /// Checks that the fields are those of the kind, and the ranges of numbers.
    pub fn check(&self) -> Result<(), Vec<Violation>> {
        let mut found = Vec::new();
        self.check_fields(&mut found);
        for (part, model) in self.models() {
            model.check(part, &mut found);
        }
        self.check_ranges(&mut found);
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Every base URL with its pointer.
    pub fn base_urls(&self) -> Vec<(String, &str)> {
        let mut urls = Vec::new();
        for (part, model) in self.models() {
            let own = model.base_url.as_deref();
            urls.extend(own.map(|url| (format!("/{part}/base_url"), url)));
            for (index, fallback) in model.fallbacks.iter().enumerate() {
                let pointer = format!("/{part}/fallbacks/{index}/base_url");
                urls.extend(fallback.base_url.as_deref().map(|url| (pointer, url)));
            }
        }
        urls
    }

    fn models(&self) -> impl Iterator<Item = (&'static str, &Model)> {
        let parts = [
            ("stt", self.stt.as_ref()),
            ("llm", self.llm.as_ref()),
            ("tts", self.tts.as_ref()),
        ];
        parts
            .into_iter()
            .filter_map(|(part, model)| Some((part, model?)))
    }

    fn check_fields(&self, found: &mut Vec<Violation>) {
        let fields = [
            (
                "greeting_tone",
                RuntimeKind::Echo,
                false,
                self.greeting_tone.is_some(),
            ),
            ("stt", RuntimeKind::Pipeline, true, self.stt.is_some()),
            ("llm", RuntimeKind::Pipeline, true, self.llm.is_some()),
            ("tts", RuntimeKind::Pipeline, true, self.tts.is_some()),
            (
                "turn_detection",
                RuntimeKind::Pipeline,
                false,
                self.turn_detection.is_some(),
            ),
            (
                "interruptions",
                RuntimeKind::Pipeline,
                false,
                self.interruptions.is_some(),
            ),
            ("vad", RuntimeKind::Pipeline, false, self.vad.is_some()),
            (
                "limits/idle_seconds",
                RuntimeKind::Pipeline,
                false,
                self.limits.idle_seconds.is_some(),
            ),
        ];
        for (name, kind, needed, given) in fields {
            let invalid = match (kind == self.kind, given) {
                (false, true) => Invalid::new("not_for_this_kind", "a field of another kind"),
                (true, false) if needed => Invalid::new("missing_field", "this kind needs it"),
                _ => continue,
            };
            found.push(invalid.at(format!("/{name}")));
        }
    }

    fn check_ranges(&self, found: &mut Vec<Violation>) {
        let mut check = |pointer: &str, value: f64, low: f64, high: f64| {
            if !(low..=high).contains(&value) {
                let message = format!("{low} to {high} is allowed, not {value}");
                found.push(Invalid::new("out_of_range", message).at(pointer));
            }
        };
        if let Some(tone) = &self.greeting_tone {
            check(
                "/greeting_tone/frequency_hz",
                tone.frequency_hz.into(),
                50.0,
                8000.0,
            );
            check(
                "/greeting_tone/duration_ms",
                tone.duration_ms.into(),
                0.0,
                5000.0,
            );
        }
        if let Some(turn) = &self.turn_detection {
            check(
                "/turn_detection/min_delay_ms",
                turn.min_delay_ms.into(),
                0.0,
                10_000.0,
            );
            let (least, most) = (turn.min_delay_ms.into(), turn.max_delay_ms.into());
            check("/turn_detection/max_delay_ms", most, least, 30_000.0);
        }
        if let Some(cut) = &self.interruptions {
            check(
                "/interruptions/min_duration_ms",
                cut.min_duration_ms.into(),
                0.0,
                10_000.0,
            );
            check("/interruptions/min_words", cut.min_words.into(), 0.0, 50.0);
        }
        if let Some(vad) = &self.vad {
            check("/vad/threshold", vad.threshold, 0.05, 0.95);
            check("/vad/min_speech_ms", vad.min_speech_ms.into(), 10.0, 5000.0);
            check(
                "/vad/min_silence_ms",
                vad.min_silence_ms.into(),
                10.0,
                5000.0,
            );
        }
        let limits = &self.limits;
        check(
            "/limits/max_duration_seconds",
            limits.max_duration_seconds.into(),
            1.0,
            86_400.0,
        );
        if let Some(idle) = limits.idle_seconds {
            check("/limits/idle_seconds", idle.into(), 5.0, 3600.0);
        }
    }
}

impl Model {
    fn check(&self, part: &str, found: &mut Vec<Violation>) {
        check_model(
            part,
            &format!("/{part}"),
            &self.provider,
            self.base_url.as_deref(),
            &self.options,
            found,
        );
        if self.fallbacks.len() > MOST_FALLBACKS {
            let message = format!("at most {MOST_FALLBACKS} fallbacks are allowed");
            found.push(Invalid::new("too_many", message).at(format!("/{part}/fallbacks")));
        }
        for (index, fallback) in self.fallbacks.iter().enumerate() {
            let pointer = format!("/{part}/fallbacks/{index}");
            let FallbackModel {
                provider,
                model: _,
                base_url,
                options,
            } = fallback;
            check_model(
                part,
                &pointer,
                provider,
                base_url.as_deref(),
                options,
                found,
            );
        }
    }
}

fn check_model(
    part: &str,
    pointer: &str,
    provider: &str,
    base_url: Option<&str>,
    options: &ModelOptions,
    found: &mut Vec<Violation>,
) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !provider.chars().all(plain) {
        let invalid = Invalid::new("invalid_name", "a provider's name is of a-z, 0-9 and `_`");
        found.push(invalid.at(format!("{pointer}/provider")));
    }
    let is_http = |url: &str| Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "http" | "https"));
    if base_url.is_some_and(|url| !is_http(url)) {
        let invalid = Invalid::new("invalid_url", "http:// or https:// is needed");
        found.push(invalid.at(format!("{pointer}/base_url")));
    }
    let ModelOptions {
        language,
        temperature,
        voice,
        speed,
    } = options;
    for (name, of, given) in [
        ("language", "stt", language.is_some()),
        ("temperature", "llm", temperature.is_some()),
        ("voice", "tts", voice.is_some()),
        ("speed", "tts", speed.is_some()),
    ] {
        if given && of != part {
            let invalid = Invalid::new("not_for_this_part", format!("only `{of}` has it"));
            found.push(invalid.at(format!("{pointer}/options/{name}")));
        }
    }
    for (name, value, low, high) in [
        ("temperature", temperature, 0.0, 2.0),
        ("speed", speed, 0.25, 4.0),
    ] {
        if value.is_some_and(|value| !(low..=high).contains(&value)) {
            let invalid = Invalid::new("out_of_range", format!("{low} to {high} is allowed"));
            found.push(invalid.at(format!("{pointer}/options/{name}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn faults(spec: Value) -> Vec<(String, String)> {
        let spec: RuntimeSpec = serde_json::from_value(spec).unwrap();
        let found = spec.check().unwrap_err();
        found.into_iter().map(|v| (v.pointer, v.code)).collect()
    }

    fn pipeline(changes: Value) -> Value {
        let model = json!({ "provider": "openai", "model": "m" });
        let mut spec = json!({ "kind": "pipeline", "stt": model, "llm": model, "tts": model });
        spec.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        spec
    }

    #[test]
    fn refuses_what_nothing_executes() {
        let wrong = json!({ "kind": "realtime" });
        let error = serde_json::from_value::<RuntimeSpec>(wrong).unwrap_err();
        assert_eq!(Invalid::parse(&error.to_string()).code, "not_supported");
        for wrong in [
            pipeline(json!({ "avatar": {} })),
            pipeline(
                json!({ "llm": { "provider": "openai", "model": "m", "options": { "api_key": "x" } } }),
            ),
        ] {
            assert!(serde_json::from_value::<RuntimeSpec>(wrong).is_err());
        }
    }

    #[test]
    fn every_kind_has_its_fields() {
        assert_eq!(
            faults(
                json!({ "kind": "echo", "stt": { "provider": "x", "model": "y" }, "limits": { "idle_seconds": 9 } })
            ),
            [
                ("/stt".into(), "not_for_this_kind".into()),
                ("/limits/idle_seconds".into(), "not_for_this_kind".into())
            ]
        );
        let codes: Vec<_> = faults(json!({ "kind": "pipeline", "greeting_tone": {} }))
            .into_iter()
            .map(|(p, _)| p)
            .collect();
        assert_eq!(codes, ["/greeting_tone", "/stt", "/llm", "/tts"]);
        let spec: RuntimeSpec = serde_json::from_value(pipeline(json!({}))).unwrap();
        spec.check().unwrap();
        assert_eq!(spec.base_urls(), []);
    }

    #[test]
    fn checks_ranges_options_and_urls() {
        assert_eq!(
            faults(json!({ "kind": "echo", "greeting_tone": { "frequency_hz": 1 } })),
            [("/greeting_tone/frequency_hz".into(), "out_of_range".into())]
        );
        let llm = json!({
            "provider": "Open AI", "model": "m", "base_url": "file:///x", "options": { "voice": "v", "temperature": 3.0 },
            "fallbacks": [{ "provider": "x", "model": "m", "options": { "speed": 1.0 } }],
        });
        let pointers: Vec<_> = faults(pipeline(json!({ "llm": llm })))
            .into_iter()
            .map(|(p, _)| p)
            .collect();
        assert_eq!(
            pointers,
            [
                "/llm/provider",
                "/llm/base_url",
                "/llm/options/voice",
                "/llm/options/temperature",
                "/llm/fallbacks/0/options/speed"
            ]
        );
        let turn = json!({ "turn_detection": { "min_delay_ms": 900, "max_delay_ms": 800 } });
        assert_eq!(
            faults(pipeline(turn)),
            [("/turn_detection/max_delay_ms".into(), "out_of_range".into())]
        );
    }

    #[test]
    fn serializes_only_what_was_given() {
        let spec: RuntimeSpec = serde_json::from_value(json!({ "kind": "echo" })).unwrap();
        let value = serde_json::to_value(&spec).unwrap();
        assert_eq!(
            value,
            json!({ "kind": "echo", "limits": { "max_duration_seconds": 3600 } })
        );
    }
}
