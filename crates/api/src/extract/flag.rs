//! Booleans in the query.

use serde::{Deserialize, Deserializer, de::Error};

/// Reads a query parameter that is `true` or `false`.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match &*String::deserialize(deserializer)? {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(D::Error::custom("`true` or `false` is allowed")),
    }
}
