//! Strings with a minimum and maximum length.

use std::{fmt, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize};

use crate::invalid::Invalid;

/// A string of `MIN` to `MAX` characters. With a minimum it is not blank either.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// Validates a text.
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
