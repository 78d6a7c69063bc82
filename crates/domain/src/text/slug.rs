//! Slugs of tenants.

use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};

use crate::invalid::Invalid;

/// A tenant's short name in URLs and logs: 2 to 63 of `a-z0-9-`, beginning and ending with a
/// letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// Validates a slug.
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
