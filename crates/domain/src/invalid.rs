//! How a value says that it is wrong: a stable code, a place and words for a person.

use std::fmt::{Display, Write as _};

use serde::Serialize;

/// Most violations that are told of one request.
pub const MOST_VIOLATIONS: usize = 100;
/// Most characters of a violation's pointer.
const MOST_OF_A_POINTER: usize = 1000;
/// Most characters of a violation's message.
const MOST_OF_A_MESSAGE: usize = 2000;

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

    /// The violation at `pointer` (a JSON pointer into the body). Both are cut where they are long: the names
    /// of fields are the caller's, and there may be many violations under one of them.
    pub fn at(self, pointer: impl AsRef<str>) -> Violation {
        Violation {
            pointer: shortened(pointer.as_ref(), MOST_OF_A_POINTER).to_owned(),
            code: self.code,
            message: shortened(&self.message, MOST_OF_A_MESSAGE).to_owned(),
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Violation {
    /// JSON pointer (RFC 6901) to the offending value; empty for the whole body.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "/spec/template", max_length = 1000)
    )]
    pub pointer: String,
    /// Stable code of the rule that was broken, such as `missing_field`, `unknown_field`,
    /// `too_long`, `undeclared_variable` or `not_supported`. New codes may appear.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "undeclared_variable", max_length = 100)
    )]
    pub code: String,
    /// What is wrong, in words.
    #[cfg_attr(
        feature = "openapi",
        schema(
            example = "the template uses `caller`, which is not declared",
            max_length = 2000
        )
    )]
    pub message: String,
}

impl Violation {
    /// The same, of a part at `pointer` of the whole.
    pub fn within(self, pointer: &str) -> Self {
        let Self {
            pointer: inner,
            code,
            message,
        } = self;
        Invalid { code, message }.at(format!("{pointer}{inner}"))
    }
}

fn shortened(text: &str, most: usize) -> &str {
    let end = text.char_indices().nth(most);
    end.map_or(text, |(end, _)| &text[..end])
}

/// The pointer to where a walk through a value is. It is one text, however many values are under a long name.
#[derive(Debug, Default)]
pub struct Place(String);

impl Place {
    /// At this pointer.
    pub fn at(pointer: &str) -> Self {
        Self(pointer.to_owned())
    }

    /// Looks at what is under a field's name.
    pub fn field<T>(&mut self, name: &str, look: impl FnOnce(&mut Self) -> T) -> T {
        self.under(&escape(name), look)
    }

    /// Looks at an item of an array.
    pub fn item<T>(&mut self, index: usize, look: impl FnOnce(&mut Self) -> T) -> T {
        self.under(&index, look)
    }

    fn under<T>(&mut self, token: &dyn Display, look: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.0.len();
        let _ = write!(self.0, "/{token}");
        let seen = look(self);
        self.0.truncate(length);
        seen
    }
}

impl AsRef<str> for Place {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// One token of a JSON pointer (RFC 6901).
pub fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
