//! Strings that cannot be too short, too long or unprintable.

use std::{fmt, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize};

use crate::invalid::Invalid;

/// A string of `MIN` to `MAX` characters. With a minimum it is not blank either.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

/// What a person calls a thing.
pub type Name = Text<1, 200>;
/// What a person should know about a thing.
pub type Description = Text<0, 2000>;
/// Why a version was made.
pub type Note = Text<0, 1000>;
/// A prompt's template source.
pub type TemplateSource = Text<1, 65_536>;
/// A short machine-readable word, such as an end reason.
pub type Word = Text<1, 64>;
/// Words of an error that somebody else reports.
pub type Detail = Text<0, 1000>;

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// The text, if it obeys the rules.
    pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        let length = text.chars().count();
        if length > MAX {
            return Err(Invalid::new(
                "too_long",
                format!("at most {MAX} characters are allowed, not {length}"),
            ));
        }
        if length < MIN || (MIN > 0 && text.trim().is_empty()) {
            return Err(Invalid::new(
                "too_short",
                format!("at least {MIN} characters are needed, and not blanks alone"),
            ));
        }
        if text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(Invalid::new(
                "control_character",
                "control characters other than newline and tab are not allowed",
            ));
        }
        Ok(Self(text))
    }

    /// The plain string.
    pub fn into_inner(self) -> String {
        self.0
    }
}

impl<const MIN: usize, const MAX: usize> Deref for Text<MIN, MAX> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Default for Text<0, MAX> {
    fn default() -> Self {
        Self(String::new())
    }
}

impl<const MIN: usize, const MAX: usize> fmt::Display for Text<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Text<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Whether a character cannot be seen, or makes others be seen in another place: controls (C0, DEL, C1),
/// separators of lines and paragraphs, and marks of the direction of writing.
pub fn is_unprintable(c: char) -> bool {
    let moves = matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    c.is_control() || moves || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}')
}

/// A text of one line, for what becomes part of a message of another protocol, such as SIP: nothing in it
/// can begin a line of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct OneLine<const MIN: usize, const MAX: usize>(Text<MIN, MAX>);

impl<const MIN: usize, const MAX: usize> OneLine<MIN, MAX> {
    /// The text, if it obeys the rules.
    pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        if text.contains(is_unprintable) {
            let message = "control characters, line breaks and marks of direction are not allowed";
            return Err(Invalid::new("control_character", message));
        }
        Text::new(text).map(Self)
    }

    /// The plain string.
    pub fn into_inner(self) -> String {
        self.0.into_inner()
    }
}

impl<const MIN: usize, const MAX: usize> Deref for OneLine<MIN, MAX> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for OneLine<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Whether a text may be a name in templates: a letter or `_`, then letters, digits and `_`, 64 at most.
pub fn is_identifier(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=64).contains(&text.len())
        && text.chars().all(plain)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// A tenant's short name in URLs and logs: 2 to 63 of `a-z0-9-`, beginning and ending with a
/// letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// The slug, if it obeys the rules.
    pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ok = (2..=63).contains(&text.len())
            && text.chars().all(allowed)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if ok {
            Ok(Self(text))
        } else {
            Err(Invalid::new(
                "invalid_slug",
                "2 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit",
            ))
        }
    }
}

impl Deref for Slug {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Slug {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The words of an error without what they quote (in `"` or `` ` ``): that is often a value, and values
/// may be somebody's personal data. What may be logged of an error that somebody else worded.
pub fn without_quotes(words: &str) -> String {
    let mut kept = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(start) = rest.find(['"', '`']) {
        let (before, quoted) = rest.split_at(start);
        let mark = &quoted[..1];
        kept.push_str(before);
        kept.push('…');
        // From the first mark to the last one of its kind: what is quoted may hold marks itself.
        let end = quoted[1..].rfind(mark).map_or(quoted.len(), |end| end + 2);
        rest = &quoted[end..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(feature = "openapi")]
mod schema {
    use std::borrow::Cow;

    use utoipa::{
        __dev::ComposeSchema,
        ToSchema,
        openapi::{
            RefOr,
            schema::{ObjectBuilder, Schema, Type},
        },
    };

    use super::{OneLine, Slug, Text};

    impl<const MIN: usize, const MAX: usize> ComposeSchema for Text<MIN, MAX> {
        fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(MIN))
                .max_length(Some(MAX))
                .into()
        }
    }
    impl<const MIN: usize, const MAX: usize> ToSchema for Text<MIN, MAX> {
        fn name() -> Cow<'static, str> {
            // Every length is a schema of its own.
            format!("Text{MIN}To{MAX}").into()
        }
    }

    impl<const MIN: usize, const MAX: usize> ComposeSchema for OneLine<MIN, MAX> {
        fn compose(generics: Vec<RefOr<Schema>>) -> RefOr<Schema> {
            Text::<MIN, MAX>::compose(generics)
        }
    }
    impl<const MIN: usize, const MAX: usize> ToSchema for OneLine<MIN, MAX> {
        fn name() -> Cow<'static, str> {
            Text::<MIN, MAX>::name()
        }
    }

    impl ComposeSchema for Slug {
        fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some("^[a-z0-9][a-z0-9-]*[a-z0-9]$"))
                .min_length(Some(2))
                .max_length(Some(63))
                .into()
        }
    }
    impl ToSchema for Slug {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_what_they_quote() {
        for (words, kept) in [
            (
                "syntax error in tsquery: \"Ada\"",
                "syntax error in tsquery: …",
            ),
            (
                "invalid type: string \"a \\\" Ada\", expected u32",
                "invalid type: string …, expected u32",
            ),
            (
                "unknown variant `Ada`, expected one of `a`, `b`",
                "unknown variant …",
            ),
            ("inside 'a' of `Ada", "inside 'a' of …"),
            (
                "connection refused (os error 111)",
                "connection refused (os error 111)",
            ),
        ] {
            assert_eq!(without_quotes(words), kept);
        }
    }

    #[test]
    fn limits_count_characters_not_bytes() {
        assert!(Name::new("é".repeat(200)).is_ok());
        assert_eq!(Name::new("é".repeat(201)).unwrap_err().code, "too_long");
        assert_eq!(Name::new("   ").unwrap_err().code, "too_short");
        assert_eq!(Name::new("a\u{7}").unwrap_err().code, "control_character");
        assert!(Description::new("").is_ok());
    }

    #[test]
    fn one_line_is_one_line() {
        assert!(OneLine::<1, 20>::new("Zoë & Søn, 日本").is_ok());
        for c in [
            '\0', '\t', '\n', '\r', '\u{1B}', '\u{7F}', '\u{80}', '\u{85}', '\u{9F}', '\u{2028}',
            '\u{2029}', '\u{202E}', '\u{2066}', '\u{200F}', '\u{FEFF}',
        ] {
            let refused = OneLine::<1, 20>::new(format!("a{c}b"));
            assert_eq!(refused.unwrap_err().code, "control_character", "{c:?}");
        }
    }

    #[test]
    fn slugs_are_plain() {
        assert!(Slug::new("acme-2").is_ok());
        for wrong in ["a", "-a", "a-", "Acme", "a_b", "ä-b", ""] {
            assert!(Slug::new(wrong).is_err(), "{wrong}");
        }
    }
}
