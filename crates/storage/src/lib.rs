//! Object storage: a local directory, or S3 and compatible services.
//!
//! Architecture invariant: bytes are streamed. An upload holds one part in memory, a download one
//! block, whatever the size of the object.

mod download;
mod error;
mod settings;
mod store;
mod upload;

#[cfg(test)]
mod tests;

pub use download::Download;
pub use error::{Error, Result};
pub use settings::{Bucket, Settings};
pub use store::{Found, Store};
pub use upload::{Stored, Upload};
