//! Kinds of runtime configs.

use serde::{Deserialize, Deserializer, Serialize};

use crate::invalid::Invalid;

/// Kind of pipeline that an agent runs.
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
