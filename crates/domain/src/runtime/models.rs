//! Models of providers.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    invalid::{Invalid, Violation},
    text::Text,
};

/// Maximum number of fallback models.
const MOST_FALLBACKS: usize = 5;

/// A model of a provider, and its fallbacks.
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
    /// Provider, by the name of the worker's plugin: `openai`, `deepgram`, `cartesia`, …
    pub provider: Text<1, 40>,
    /// Name of the model at the provider.
    pub model: Text<1, 200>,
    /// Base URL of another endpoint, which the operator must allow. The provider's key is not sent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Text<1, 500>>,
    /// Options of the model.
    #[serde(default, skip_serializing_if = "ModelOptions::is_empty")]
    pub options: ModelOptions,
    /// Models to use if it fails, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_items = 5))]
    pub fallbacks: Vec<FallbackModel>,
}

/// A model to use if another one fails.
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
    /// Base URL of another endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Text<1, 500>>,
    /// Options of the model.
    #[serde(default, skip_serializing_if = "ModelOptions::is_empty")]
    pub options: ModelOptions,
}

/// Options of a model. Set only those of its part of the pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", schema(example = json!({"temperature": 0.4})))]
pub struct ModelOptions {
    /// `stt`: spoken language, such as `en`.
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

impl Model {
    pub(super) fn check(&self, part: &str, found: &mut Vec<Violation>) {
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
