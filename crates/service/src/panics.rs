//! Isolation of panics: a panic fails only the work in which it occurs.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

/// The error of work that has panicked.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it panicked; see the log for the location")]
pub struct Panicked;

/// Runs `work` and returns a panic in it as an error.
pub async fn catch_panic<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map_err(|_| Panicked)
}
