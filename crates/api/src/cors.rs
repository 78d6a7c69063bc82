//! Cross-origin requests of browsers.

use actix_cors::Cors;
use actix_web::http::header::HeaderValue;
use url::Url;

/// Request headers that a page may send.
const REQUEST_HEADERS: [&str; 11] = [
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "if-range",
    "prefer",
    "range",
    "traceparent",
    "tracestate",
    "x-request-id",
];

/// Response headers that a page may read.
const RESPONSE_HEADERS: [&str; 11] = [
    "accept-ranges",
    "allow",
    "content-disposition",
    "content-range",
    "etag",
    "idempotency-replayed",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "x-request-id",
];

/// Returns the middleware for these origins. It must be the outermost one, so that errors have its headers too.
pub fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST", "PATCH", "PUT", "DELETE"])
        .allowed_headers(REQUEST_HEADERS)
        .expose_headers(RESPONSE_HEADERS)
        .block_on_origin_mismatch(false)
        .max_age(600);
    origins
        .iter()
        .fold(cors, |cors, origin| match origin.strip_suffix(":*") {
            _ if origin == "*" => cors.allow_any_origin(),
            None => cors.allowed_origin(origin),
            Some(host) => {
                let host = host.to_owned();
                cors.allowed_origin_fn(move |origin, _| has_host(origin, &host))
            }
        })
}

/// Whether an origin is this scheme and host, with any port or none.
fn has_host(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    match origin.strip_prefix(host) {
        Some("") => true,
        Some(port) => port
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok()),
        None => false,
    }
}

/// Whether a text is the origin of a web page, written as browsers send it.
pub fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        let is_web = matches!(url.scheme(), "http" | "https");
        is_web && url.origin().ascii_serialization() == text
    })
}

/// Checks an entry of the setting: `*`, an origin, or an origin with any port.
pub fn check_origin(entry: &str) -> Result<(), String> {
    let plain = entry.strip_suffix(":*").unwrap_or(entry);
    if entry == "*" || is_origin(plain) {
        return Ok(());
    }
    Err(format!(
        "`{entry}` is no origin, such as https://app.example.com, http://localhost:* for any port, or * for any"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_origins() {
        for entry in [
            "*",
            "https://app.example",
            "http://127.0.0.1:5173",
            "http://localhost:*",
        ] {
            assert_eq!(check_origin(entry), Ok(()));
        }
        for entry in [
            "",
            "app.example",
            "https://app.example/",
            "https://APP.example",
            "ftp://app.example",
            "https://app.example:443",
            "null",
        ] {
            assert!(check_origin(entry).is_err(), "{entry}");
        }
    }

    #[test]
    fn any_port_is_a_port() {
        let is_local = |origin| has_host(&HeaderValue::from_static(origin), "http://localhost");
        assert!(is_local("http://localhost") && is_local("http://localhost:5173"));
        assert!(!is_local("http://localhost.evil.example"));
        assert!(!is_local("http://localhost:5173.evil.example"));
        assert!(!is_local("https://localhost:5173"));
    }
}
