//! How a value says that it is wrong: a stable code, a place and words for a person.

use serde::Serialize;
use utoipa::ToSchema;

/// Why one value is refused. Its text form, `[code] message`, survives serde's error type,
/// so that a field type can name its own code while a body is being read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[{code}] {message}")]
pub struct Invalid {
    /// Stable code, such as `too_long`.
    pub code: String,
    /// What a person should know.
    pub message: String,
}

impl Invalid {
    /// A refusal with this code and these words.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// The violation at `pointer` (a JSON pointer into the body).
    pub fn at(self, pointer: impl Into<String>) -> Violation {
        Violation {
            pointer: pointer.into(),
            code: self.code,
            message: self.message,
        }
    }

    /// Reads the text form back; text of another origin gets the code `invalid_value`.
    pub fn parse(text: &str) -> Self {
        text.strip_prefix('[')
            .and_then(|rest| rest.split_once("] "))
            .map_or_else(
                || Self::new("invalid_value", text),
                |(code, message)| Self::new(code, message),
            )
    }
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Violation {
    /// JSON pointer (RFC 6901) to the offending value; empty for the whole body.
    #[schema(example = "/spec/template", max_length = 1000)]
    pub pointer: String,
    /// Stable code of the rule that was broken, such as `missing_field`, `unknown_field`,
    /// `too_long`, `undeclared_variable` or `not_supported`. New codes may appear.
    #[schema(example = "undeclared_variable", max_length = 100)]
    pub code: String,
    /// What is wrong, in words.
    #[schema(
        example = "the template uses `caller`, which is not declared",
        max_length = 2000
    )]
    pub message: String,
}

/// One token of a JSON pointer (RFC 6901).
pub fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
