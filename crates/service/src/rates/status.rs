//! State of the rate limits after a request.

use std::time::Duration;

use crate::{Code, Error, Result};

/// Window of all rate limits.
pub const WINDOW: Duration = Duration::from_secs(60);

/// State of one limit after a request.
#[derive(Clone, Debug)]
pub struct LimitStatus {
    /// Name of the limit.
    pub policy: String,
    /// Allowed requests per minute.
    pub quota: u32,
    /// Remaining requests.
    pub remaining: u32,
    /// Time until the quota is full again; if no request remains, until the next one is allowed.
    pub reset: Duration,
    /// Whether the request exceeds the limit.
    pub refused: bool,
}

/// State of all limits of a request, kept in the request's extensions for the response headers.
#[derive(Clone, Debug, Default)]
pub struct RateState(pub Vec<LimitStatus>);

/// Combines the states of all limits; the outcome is 429 if one of them refuses.
pub(super) fn combine(statuses: Vec<LimitStatus>) -> (RateState, Result<()>) {
    let refused = statuses.iter().filter(|status| status.refused);
    let outcome = match refused.max_by_key(|status| status.reset) {
        Some(LimitStatus {
            policy,
            quota,
            reset,
            ..
        }) => {
            let detail = format!("The limit {policy} allows {quota} requests per minute.");
            Err(Error::too_many(
                Code::RateLimited,
                detail,
                whole_seconds(*reset),
            ))
        }
        None => Ok(()),
    };
    (RateState(statuses), outcome)
}

/// Converts to whole seconds, rounded up, at least one.
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).max(1) as u64
}
