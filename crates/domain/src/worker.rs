//! Worker processes: what each can run, and whether a binding's runtime config can be run by any.

use serde::{Deserialize, Serialize};

use crate::{
    runtime::{RuntimeKind, RuntimeSpec},
    text::Text,
    words::words,
};

words! {
    /// Whether a worker can take an agent's next session.
    pub enum Availability {
        /// A worker has room for it.
        Ready = "ready",
        /// All workers are at their capacity or draining.
        Full = "full",
        /// Workers have registered before, and none is alive.
        Absent = "none",
        /// No worker has registered. One that does not register still gets sessions.
        Unknown = "unknown",
    }
}

/// A provider's plugin that a worker has installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", schema(example = json!({"name": "openai", "version": "1.8.9", "has_key": true})))]
pub struct Plugin {
    /// Name of the plugin, as runtime configs name the provider.
    pub name: Text<1, 40>,
    /// Version of the plugin; null if it is not known.
    #[serde(default)]
    pub version: Option<Text<1, 50>>,
    /// Whether the worker has the provider's key; null if the provider needs none, or it is not known.
    #[serde(default)]
    pub has_key: Option<bool>,
}

/// What a worker can run.
#[derive(Clone, Debug)]
pub struct Abilities {
    /// Kinds of runtime configs.
    pub kinds: Vec<String>,
    /// Installed plugins.
    pub plugins: Vec<Plugin>,
}

impl Abilities {
    /// What is missing to run this runtime config; empty if nothing is.
    pub fn missing(&self, spec: &RuntimeSpec) -> Vec<String> {
        let kind = match spec.kind {
            RuntimeKind::Echo => "echo",
            RuntimeKind::Pipeline => "pipeline",
        };
        if !self.kinds.iter().any(|known| known == kind) {
            return vec![format!("the kind `{kind}`")];
        }
        let mut missing = Vec::new();
        for (provider, needs_key) in spec.providers() {
            let plugin = self.plugins.iter().find(|plugin| *plugin.name == *provider);
            let lack = match plugin {
                None => format!("the plugin `{provider}`"),
                Some(plugin) if needs_key && plugin.has_key == Some(false) => {
                    format!("the key of `{provider}`")
                }
                Some(_) => continue,
            };
            if !missing.contains(&lack) {
                missing.push(lack);
            }
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn abilities(kinds: &[&str], plugins: serde_json::Value) -> Abilities {
        Abilities {
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            plugins: serde_json::from_value(plugins).unwrap(),
        }
    }

    #[test]
    fn what_a_worker_lacks_is_named() {
        let spec: RuntimeSpec = serde_json::from_value(json!({
            "kind": "pipeline",
            "stt": { "provider": "deepgram", "model": "nova-3" },
            "llm": {
                "provider": "openai", "model": "gpt-4.1-mini",
                "fallbacks": [{ "provider": "groq", "model": "llama", "base_url": "http://10.0.0.5/v1" }],
            },
            "tts": { "provider": "openai", "model": "tts-1" },
        }))
        .unwrap();
        let all = json!([
            { "name": "openai", "has_key": true }, { "name": "deepgram" }, { "name": "groq", "has_key": false },
        ]);
        let some = json!([{ "name": "openai", "has_key": false }]);
        for (kinds, plugins, missing) in [
            (["echo", "pipeline"], all.clone(), &[][..]),
            (["echo", "other"], all, &["the kind `pipeline`"]),
            (
                ["echo", "pipeline"],
                some,
                &[
                    "the plugin `deepgram`",
                    "the key of `openai`",
                    "the plugin `groq`",
                ],
            ),
        ] {
            assert_eq!(abilities(&kinds, plugins).missing(&spec), missing);
        }
        let echo: RuntimeSpec = serde_json::from_value(json!({ "kind": "echo" })).unwrap();
        assert!(abilities(&["echo"], json!([])).missing(&echo).is_empty());
    }
}
