//! Rate limits of requests.

mod admission;
mod headers;

pub use admission::count;
pub use headers::write;
