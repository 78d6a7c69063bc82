//! How the limits of a request stand.

use std::time::Duration;

use crate::{Code, Error, Result};

/// The window of all limits.
pub const WINDOW: Duration = Duration::from_secs(60);

/// How one limit stands after a request.
#[derive(Clone, Debug)]
pub struct LimitStatus {
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
pub struct RateState(pub Vec<LimitStatus>);

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

/// Whole seconds, rounded up, at least one.
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).max(1) as u64
}
