//! One count of requests in a minute.

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

/// A bucket that has not been touched for so long is full again.
pub(super) const IDLE: Duration = Duration::from_secs(120);

/// A count.
pub(super) struct Bucket {
    /// Requests that are allowed in a minute.
    pub per_minute: u32,
    limiter: Limiter,
    /// When it was last counted.
    pub touched: Instant,
}

impl Bucket {
    /// A full one.
    pub fn new(per_minute: NonZeroU32) -> Self {
        Self {
            per_minute: per_minute.get(),
            limiter: RateLimiter::direct(Quota::per_minute(per_minute)).with_middleware(),
            touched: Instant::now(),
        }
    }

    /// Counts a request.
    pub fn check(&mut self, policy: String) -> LimitStatus {
        self.touched = Instant::now();
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
