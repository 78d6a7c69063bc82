//! Entity tags (RFC 9110).

use actix_web::http::header::{HeaderMap, HeaderName};

/// Returns the entity tag of a revision.
pub fn etag(revision: i64) -> String {
    format!("\"{revision}\"")
}

/// The entity tags of a header such as `If-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTags(Vec<String>);

impl EntityTags {
    /// Reads the header; none without it.
    pub fn of(headers: &HeaderMap, name: HeaderName) -> Option<Self> {
        let mut values = headers.get_all(name).peekable();
        values.peek()?;
        let values = values.filter_map(|value| value.to_str().ok());
        let tags = values.flat_map(|value| value.split(','));
        Some(Self(tags.map(|tag| tag.trim().to_owned()).collect()))
    }

    /// Whether `etag` is one of them, or they are `*`.
    pub fn matches(&self, etag: &str) -> bool {
        let mut tags = self.0.iter();
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    }
}
