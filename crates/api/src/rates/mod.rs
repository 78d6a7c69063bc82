//! Rate limits.

mod addresses;
mod admission;
mod bucket;
mod limits;
mod status;

pub use admission::count;
pub use limits::RateLimits;
pub use status::RateState;
