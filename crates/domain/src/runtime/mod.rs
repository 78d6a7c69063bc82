//! Runtime config specs: kind, models, turn taking and limits.
//!
//! Features that no worker implements yet are refused with `not_supported`.

mod kind;
mod limits;
mod models;
mod range;
#[cfg(test)]
mod tests;
mod tone;
mod turns;

pub use kind::RuntimeKind;
pub use limits::Limits;
pub use models::{FallbackModel, Model, ModelOptions};
use serde::{Deserialize, Serialize};
pub use tone::GreetingTone;
pub use turns::{Interruptions, TurnDetection, Vad};

use crate::invalid::{Invalid, Violation};

/// A runtime config. Set only the fields of its kind: `greeting_tone` for `echo`, the others for `pipeline`,
/// which needs `stt`, `llm` and `tts`.
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
    /// Kind of the agent.
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
    /// `pipeline`: when a user's turn ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_detection: Option<TurnDetection>,
    /// `pipeline`: whether a user may interrupt the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interruptions: Option<Interruptions>,
    /// `pipeline`: voice activity detection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vad: Option<Vad>,
    /// Limits of the session.
    #[serde(default)]
    pub limits: Limits,
}

impl RuntimeSpec {
    /// Validates that the fields are those of the kind, and the ranges of numbers.
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

    /// Every provider, and whether it is called at its own host, for which a worker needs its key.
    pub fn providers(&self) -> Vec<(&str, bool)> {
        let mut providers = Vec::new();
        for (_, model) in self.models() {
            providers.push((&*model.provider, model.base_url.is_none()));
            let fallbacks = model.fallbacks.iter();
            providers.extend(fallbacks.map(|model| (&*model.provider, model.base_url.is_none())));
        }
        providers
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
        if let Some(tone) = &self.greeting_tone {
            tone.check(found);
        }
        if let Some(turn) = &self.turn_detection {
            turn.check(found);
        }
        if let Some(cut) = &self.interruptions {
            cut.check(found);
        }
        if let Some(vad) = &self.vad {
            vad.check(found);
        }
        self.limits.check(found);
    }
}
