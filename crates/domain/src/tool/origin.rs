//! URLs with a literal origin: arguments cannot change which server a tool calls.

use url::Url;

use crate::invalid::Invalid;

/// The URL up to its path, which is always literal.
pub(super) fn origin(url: &str) -> Result<Url, Invalid> {
    let invalid = |message: &str| Invalid::new("invalid_url", message);
    let (origin, _) = split(url);
    let literal = "scheme, host and port are literal: no template may stand there";
    if origin.contains('{') || origin.contains('}') {
        return Err(invalid(literal));
    }
    let incomplete = "http:// or https:// and a host are needed";
    let url = Url::parse(origin).map_err(|_| invalid(incomplete))?;
    // A user name in front of `@` would turn what looks like a path into a host.
    if origin.contains(['@', '\\']) || !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(incomplete));
    }
    Ok(url)
}

/// Splits a URL into origin and the rest.
pub(super) fn split(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?', '#']);
    url.split_at(end.map_or(url.len(), |end| authority + end))
}

/// Whether URL parsers read a path segment as `.` or `..`. They ignore tabs, line breaks and trailing blanks, and
/// read `\` as `/`.
pub(super) fn climbs(path: &str) -> bool {
    let read = path.replace(['\t', '\n', '\r'], "").to_ascii_lowercase();
    let read = read.trim_end_matches(|c| c <= ' ').replace("%2e", ".");
    let mut segments = read.split(['/', '\\']);
    segments.any(|segment| segment == "." || segment == "..")
}
