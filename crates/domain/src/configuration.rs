//! The exact configuration of a run: the pinned specs, resolved, under one digest.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    api_key::hex, invalid::Invalid, knowledge::KnowledgeSettings, prompt::PromptSpec,
    raw_json::RawJson, runtime::RuntimeSpec, tool::ToolSpec,
};

/// The schema number of [`Configuration`], raised with each change of its shape. 1 had no tools, 2 no knowledge.
pub const SCHEMA: u32 = 3;

/// Everything a worker needs to act as the agent, except what belongs to a single session (variables and the
/// rendered prompt). Equal content has an equal digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = SessionConfiguration))]
pub struct Configuration {
    /// Schema number of this document; 3 today. Documents with 2 have no knowledge, those with 1 no tools either.
    #[cfg_attr(feature = "openapi", schema(example = 3, minimum = 1, maximum = 1000))]
    pub schema: u32,
    /// LiveKit agent name that the job is dispatched to.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "patchbay-agent", max_length = 200)
    )]
    pub worker_name: String,
    /// The prompt version's spec, its template unrendered.
    pub prompt: PromptSpec,
    /// The runtime config version's spec.
    pub runtime: RuntimeSpec,
    /// The tool versions' specs, by function name. They contain names of secrets, never values.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 50))]
    pub tools: Vec<ToolSpec>,
    /// How the agent's files are searched; null if they are not.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub knowledge: Option<KnowledgeSettings>,
}

impl Configuration {
    /// The tool with this function name.
    pub fn tool(&self, function_name: &str) -> Option<&ToolSpec> {
        let mut tools = self.tools.iter();
        tools.find(|tool| &*tool.function_name == function_name)
    }

    /// The document as canonical JSON and its digest.
    pub fn seal(&self) -> Result<(RawJson, String), Invalid> {
        seal(self)
    }
}

/// Canonical JSON (RFC 8785) of a value, and its SHA-256 in lowercase hexadecimal.
pub(crate) fn seal(value: &impl Serialize) -> Result<(RawJson, String), Invalid> {
    let canonical = serde_json_canonicalizer::to_string(value)
        .map_err(|error| Invalid::new("not_json", error.to_string()))?;
    let digest = hex(&Sha256::digest(&canonical));
    Ok((RawJson::from_text(canonical), digest))
}

/// SHA-256 of the canonical JSON (RFC 8785), in lowercase hexadecimal.
pub fn digest_of(value: &impl Serialize) -> Result<String, Invalid> {
    seal(value).map(|(_, digest)| digest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_digest_ignores_order_and_spelling_of_numbers() {
        let one = digest_of(&json!({"a": 1.0, "b": [true, null]})).unwrap();
        let two = digest_of(&json!({"b": [true, null], "a": 1})).unwrap();
        assert_eq!(one, two);
        assert_ne!(one, digest_of(&json!({"a": 2})).unwrap());
        assert_eq!(
            digest_of(&json!({})).unwrap(),
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
    }
}
