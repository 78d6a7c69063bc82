//! Validation errors: a stable code, a JSON pointer and a message.

use std::fmt::{Display, Write as _};

use serde::Serialize;

/// Maximum number of violations in one response.
pub const MOST_VIOLATIONS: usize = 100;
/// Maximum characters of a violation's pointer.
const MOST_OF_A_POINTER: usize = 1000;
/// Maximum characters of a violation's message.
const MOST_OF_A_MESSAGE: usize = 2000;

/// Why a value is invalid. Its text form, `[code] message`, survives serde's error type, so that a field type can
/// give its own code during deserialization.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[{code}] {message}")]
pub struct Invalid {
    /// Stable code, such as `too_long`.
    pub code: String,
    /// Message for a person.
    pub message: String,
}

impl Invalid {
    /// An error with this code and message.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// The violation at `pointer` (a JSON pointer into the body). Pointer and message are truncated: the names of
    /// fields are the caller's, and there may be many violations under a long one.
    pub fn at(self, pointer: impl AsRef<str>) -> Violation {
        Violation {
            pointer: shortened(pointer.as_ref(), MOST_OF_A_POINTER).to_owned(),
            code: self.code,
            message: shortened(&self.message, MOST_OF_A_MESSAGE).to_owned(),
        }
    }

    /// Parses the text form. Any other text is a parser's, whose words are about its code: it becomes
    /// `invalid_value`.
    pub fn parse(text: &str) -> Self {
        let parts = text
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] "));
        match parts {
            Some((code, message)) => Self::new(code, message),
            None => Self::new("invalid_value", "the value is not valid"),
        }
    }
}

/// Codes of violations, in alphabetical order.
pub const VIOLATION_CODES: [&str; 86] = [
    "address_refused",
    "base_url_not_allowed",
    "circular_reference",
    "conflict",
    "control_character",
    "dangling_reference",
    "denied_prefix",
    "duplicate",
    "duplicate_function",
    "email_taken",
    "emergency_number",
    "external_id_taken",
    "in_the_past",
    "invalid_address",
    "invalid_digits",
    "invalid_email",
    "invalid_header",
    "invalid_host",
    "invalid_id",
    "invalid_method",
    "invalid_name",
    "invalid_number",
    "invalid_pointer",
    "invalid_schema",
    "invalid_slug",
    "invalid_target",
    "invalid_template",
    "invalid_time",
    "invalid_type",
    "invalid_url",
    "invalid_value",
    "later_than_parent",
    "missing_field",
    "missing_variable",
    "name_taken",
    "network_too_large",
    "no_alternative",
    "no_body",
    "no_template",
    "not_a_client_tool",
    "not_an_object",
    "not_callable",
    "not_for_this_kind",
    "not_for_this_part",
    "not_json",
    "not_supported",
    "not_utf8",
    "number_mapped",
    "number_not_assigned",
    "number_not_international",
    "number_not_on_trunk",
    "one_of",
    "other_worker_name",
    "out_of_range",
    "path_climbs",
    "prefix_not_allowed",
    "remote_reference",
    "render_failed",
    "render_too_costly",
    "rendered_too_long",
    "required_with_default",
    "reserved",
    "schema_mismatch",
    "secret_not_for_host",
    "secrets_too_many",
    "slug_taken",
    "too_complex",
    "too_deep",
    "too_few",
    "too_large",
    "too_long",
    "too_many",
    "too_many_buckets",
    "too_short",
    "undeclared_argument",
    "undeclared_variable",
    "unknown_dialect",
    "unknown_field",
    "unknown_language",
    "unknown_reference",
    "unknown_scope",
    "unknown_secret",
    "unknown_time_zone",
    "unknown_word",
    "unknown_worker",
    "unnamed_secret",
];

/// One violation of a rule by a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Violation {
    /// JSON pointer (RFC 6901) to the offending value; empty for the whole body.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "/spec/template", max_length = 1000)
    )]
    pub pointer: String,
    /// Stable code of the rule that was broken. New codes may be added.
    #[cfg_attr(feature = "openapi", schema(value_type = ViolationCode))]
    pub code: String,
    /// What is wrong, as a message for a person.
    #[cfg_attr(
        feature = "openapi",
        schema(
            example = "the template uses `caller`, which is not declared",
            max_length = 2000
        )
    )]
    pub message: String,
}

#[cfg(feature = "openapi")]
crate::vocabulary! {
    /// Codes of violations.
    pub struct ViolationCode = VIOLATION_CODES
}

impl Violation {
    /// The violation with `pointer` in front, for a spec that is part of a larger body.
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

/// The JSON pointer of a walk through a value. One buffer is reused, however many values are under a long name.
#[derive(Debug, Default)]
pub struct Place(String);

impl Place {
    /// At this pointer.
    pub fn at(pointer: &str) -> Self {
        Self(pointer.to_owned())
    }

    /// Visits the value of a field.
    pub fn field<T>(&mut self, name: &str, visit: impl FnOnce(&mut Self) -> T) -> T {
        self.under(&escape(name), visit)
    }

    /// Visits an item of an array.
    pub fn item<T>(&mut self, index: usize, visit: impl FnOnce(&mut Self) -> T) -> T {
        self.under(&index, visit)
    }

    fn under<T>(&mut self, token: &dyn Display, visit: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.0.len();
        let _ = write!(self.0, "/{token}");
        let seen = visit(self);
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
