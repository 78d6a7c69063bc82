//! Panics: kept to the work in which they happen.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

/// Work has panicked.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it panicked; the log says where")]
pub struct Panicked;

/// Does the work; its panic is an error, and nobody else's.
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map_err(|_| Panicked)
}
