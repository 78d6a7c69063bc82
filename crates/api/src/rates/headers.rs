//! Response headers with the state of the limits.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use patchbay_service::rates::{LimitStatus, RateState, WINDOW, whole_seconds};

/// Adds the headers of draft-ietf-httpapi-ratelimit-headers to a response.
pub fn write(state: &RateState, headers: &mut HeaderMap) {
    let list = |item: fn(&LimitStatus) -> String| {
        let items: Vec<_> = state.0.iter().map(item).collect();
        HeaderValue::from_str(&items.join(", ")).ok()
    };
    let policies = list(|s| format!("\"{}\";q={};w={}", s.policy, s.quota, WINDOW.as_secs()));
    let statuses = list(|s| {
        let reset = whole_seconds(s.reset);
        format!("\"{}\";r={};t={reset}", s.policy, s.remaining)
    });
    for (name, value) in [("ratelimit-policy", policies), ("ratelimit", statuses)] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
