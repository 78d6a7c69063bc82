//! Formats of texts. A text has the format if the type of the domain accepts it, which also says what is wrong.

use crate::{email::Email, invalid::Invalid, phone::PhoneNumber, sip::SipAddress, text::Slug};
use chrono::DateTime;
use uuid::Uuid;

/// Checks a text.
type Check = fn(&str) -> Result<(), Invalid>;

/// All formats by their name in the document.
pub(super) const ALL: [(&str, Check); 6] = [
    ("date-time", |text| {
        match DateTime::parse_from_rfc3339(text) {
            Ok(_) => Ok(()),
            Err(_) => Err(Invalid::new(
                "invalid_time",
                "a time with an offset is needed, such as `2026-11-23T20:00:00Z`",
            )),
        }
    }),
    ("email", |text| Email::new(text).map(drop)),
    ("phone-number", |text| text.parse::<PhoneNumber>().map(drop)),
    ("sip-address", |text| text.parse::<SipAddress>().map(drop)),
    ("slug", |text| Slug::new(text).map(drop)),
    ("uuid", |text| match Uuid::parse_str(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(Invalid::new(
            "invalid_id",
            "a UUID is needed, such as `0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10`",
        )),
    }),
];

/// Patterns of texts, each with the code and the message of a violation.
const PATTERNS: [(&str, &str, &str); 5] = [
    (r"\S", "too_short", "a text of blanks alone is not allowed"),
    (
        "^[A-Za-z_][A-Za-z0-9_]*$",
        "invalid_name",
        "a letter or `_`, then letters, digits and `_`",
    ),
    (
        "^[0-9A-D*#w]*$",
        "invalid_digits",
        "only 0 to 9, `*`, `#`, A to D and `w` are allowed",
    ),
    (
        "^[0-9a-f]{64}$",
        "invalid_value",
        "64 lowercase hexadecimal digits are needed",
    ),
    (
        "^[0-9A-Fa-f]{64}$",
        "invalid_value",
        "64 hexadecimal digits are needed",
    ),
];

/// Returns what is wrong with a text that does not match the pattern.
pub(super) fn explain_pattern(pattern: &str) -> Invalid {
    let known = PATTERNS.iter().find(|(known, ..)| *known == pattern);
    match known {
        Some((_, code, message)) => Invalid::new(code, *message),
        None => Invalid::new(
            "invalid_value",
            format!("the text does not match `{pattern}`"),
        ),
    }
}

/// Returns what is wrong with a text that does not have the format.
pub(super) fn explain(format: &str, text: &str) -> Invalid {
    let known = ALL.iter().find(|(name, _)| *name == format);
    let wrong = known.and_then(|(_, check)| check(text).err());
    wrong.unwrap_or_else(|| Invalid::new("invalid_value", format!("the format is not `{format}`")))
}
