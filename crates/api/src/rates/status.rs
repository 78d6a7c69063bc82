//! How the limits of a request stand.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use patchbay_service::{Code, Error, Result};

/// The window of all limits.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// How one limit stands after a request.
#[derive(Clone, Debug)]
pub(super) struct LimitStatus {
    /// Name of the limit.
    pub policy: String,
    /// Requests that it allows in a minute.
    pub quota: u32,
    /// Requests that remain.
    pub remaining: u32,
    /// Until the quota is whole again; where nothing remains, until the next request may come.
    pub reset: Duration,
    /// Whether it is one too many.
    pub refused: bool,
}

/// How the limits of a request stand; left in the request for its answer's headers.
#[derive(Clone, Debug, Default)]
pub struct RateState(pub(super) Vec<LimitStatus>);

/// What the limits say together; 429 where one of them refuses.
pub(super) fn conclude(statuses: Vec<LimitStatus>) -> (RateState, Result<()>) {
    let refused = statuses.iter().filter(|status| status.refused);
    let outcome = match refused.max_by_key(|status| status.reset) {
        Some(LimitStatus {
            policy,
            quota,
            reset,
            ..
        }) => {
            let detail = format!("The limit {policy} allows {quota} requests a minute.");
            Err(Error::too_many(Code::RateLimited, detail, seconds(*reset)))
        }
        None => Ok(()),
    };
    (RateState(statuses), outcome)
}

/// Whole seconds, rounded up, at least one.
fn seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).max(1) as u64
}

impl RateState {
    /// Puts the headers of draft-ietf-httpapi-ratelimit-headers into an answer.
    pub fn write(&self, headers: &mut HeaderMap) {
        let list = |item: fn(&LimitStatus) -> String| {
            let items: Vec<_> = self.0.iter().map(item).collect();
            HeaderValue::from_str(&items.join(", ")).ok()
        };
        let policies = list(|s| format!("\"{}\";q={};w={}", s.policy, s.quota, WINDOW.as_secs()));
        let statuses =
            list(|s| format!("\"{}\";r={};t={}", s.policy, s.remaining, seconds(s.reset)));
        for (name, value) in [("ratelimit-policy", policies), ("ratelimit", statuses)] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}
