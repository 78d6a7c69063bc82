//! Prompts, tools and runtime configs are one mechanism: an artifact with immutable versions.

use serde::Serialize;

use crate::{
    configuration::seal,
    invalid::{Invalid, Violation},
    prompt::PromptSpec,
    raw_json::RawJson,
    runtime::RuntimeSpec,
    tool::ToolSpec,
    words::words,
};

words! {
    /// What an artifact is.
    pub enum ArtifactKind {
        /// A prompt template.
        Prompt = "prompt",
        /// How an agent works: models, turn taking and limits.
        RuntimeConfig = "runtime_config",
        /// What an agent may call.
        Tool = "tool",
    }
}

/// The content of a version; one type for each kind of artifact.
pub trait Spec: Serialize + serde::de::DeserializeOwned + Send + 'static {
    /// The kind of artifact that holds such specs.
    const KIND: ArtifactKind;

    /// Validates what the types of the fields cannot: violations point into the spec.
    fn check(&self) -> Result<(), Vec<Violation>>;

    /// The spec as canonical JSON and its digest.
    fn seal(&self) -> Result<(RawJson, String), Invalid> {
        seal(self)
    }
}

impl Spec for PromptSpec {
    const KIND: ArtifactKind = ArtifactKind::Prompt;
    fn check(&self) -> Result<(), Vec<Violation>> {
        PromptSpec::check(self)
    }
}

impl Spec for RuntimeSpec {
    const KIND: ArtifactKind = ArtifactKind::RuntimeConfig;
    fn check(&self) -> Result<(), Vec<Violation>> {
        RuntimeSpec::check(self)
    }
}

impl Spec for ToolSpec {
    const KIND: ArtifactKind = ArtifactKind::Tool;
    fn check(&self) -> Result<(), Vec<Violation>> {
        ToolSpec::check(self)
    }
}
