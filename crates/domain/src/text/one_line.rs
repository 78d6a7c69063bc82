//! Texts without line breaks and marks of direction.

use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};

use super::bounded::Text;
use crate::invalid::Invalid;

/// Whether a character is invisible or moves others when displayed: controls (C0, DEL, C1), separators of lines
/// and paragraphs, and marks of the direction of writing.
pub fn is_unprintable(c: char) -> bool {
    let moves = matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    c.is_control() || moves || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}')
}

/// A text of one line, for messages of other protocols such as SIP: it cannot inject a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct OneLine<const MIN: usize, const MAX: usize>(Text<MIN, MAX>);

impl<const MIN: usize, const MAX: usize> OneLine<MIN, MAX> {
    /// Validates a text.
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
