//! URLs whose origin is literal: where a tool calls does not depend on what it is given.

use url::Url;

use crate::invalid::Invalid;

/// A URL up to its path, which is literal in any case.
pub(super) fn origin(url: &str) -> Result<Url, Invalid> {
    let invalid = |message: &str| Invalid::new("invalid_url", message);
    let (origin, _) = split(url);
    let literal = "scheme, host and port are literal: no template may stand there";
    if origin.contains('{') || origin.contains('}') {
        return Err(invalid(literal));
    }
    let url = Url::parse(origin).map_err(|error| invalid(&error.to_string()))?;
    // A name in front of `@` would make a host of what looks like a path.
    if origin.contains(['@', '\\']) || !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("http:// or https:// and a host are needed"));
    }
    Ok(url)
}

/// Scheme, host and port; and the rest.
pub(super) fn split(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?', '#']);
    url.split_at(end.map_or(url.len(), |end| authority + end))
}

/// Whether URL parsers take a segment of the path for a step to itself or upwards. They leave out tabs, ends
/// of lines and what is blank at the end, and take `\` for `/`.
pub(super) fn climbs(path: &str) -> bool {
    let read = path.replace(['\t', '\n', '\r'], "").to_ascii_lowercase();
    let read = read.trim_end_matches(|c| c <= ' ').replace("%2e", ".");
    let mut segments = read.split(['/', '\\']);
    segments.any(|segment| segment == "." || segment == "..")
}
