//! Rate limits, counted in this process.

mod addresses;
mod bucket;
mod limits;
mod status;

pub use limits::{RateLimits, Subject};
pub use status::{LimitStatus, RateState, WINDOW, whole_seconds};
