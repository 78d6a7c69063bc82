//! Token bucket of one rate limit.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};

use super::status::{LimitStatus, WINDOW};

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// A bucket that was not used for this long is full again.
pub(super) const IDLE: Duration = Duration::from_secs(120);

/// A token bucket.
pub(super) struct Bucket {
    /// Allowed requests per minute.
    pub per_minute: u32,
    limiter: Limiter,
    /// Time of the last request.
    pub last_used: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(per_minute: NonZeroU32) -> Self {
        Self {
            per_minute: per_minute.get(),
            limiter: RateLimiter::direct(Quota::per_minute(per_minute)).with_middleware(),
            last_used: Instant::now(),
        }
    }

    /// Counts a request.
    pub fn check(&mut self, policy: String) -> LimitStatus {
        self.last_used = Instant::now();
        let quota = self.per_minute;
        let checked = self.limiter.check();
        let (remaining, reset) = match &checked {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                (remaining, WINDOW * (quota - remaining) / quota)
            }
            Err(until) => (0, until.wait_time_from(DefaultClock::default().now())),
        };
        LimitStatus {
            policy,
            quota,
            remaining,
            reset,
            refused: checked.is_err(),
        }
    }
}
