//! Rate limits of requests.

mod admission;
mod headers;

pub use admission::enforce;
pub use headers::write;
