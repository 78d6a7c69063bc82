//! Fault injection: points at which tests abort the process, make it panic, or let it wait while something else
//! happens. They are compiled only with the feature `fault-injection`, which no release has.

use crate::Service;

/// Aborts the process, or panics, if the settings contain this point.
#[cfg(feature = "fault-injection")]
pub fn crash_here(service: &Service, point: &str) {
    let Some(at) = service.settings.crash_at.as_deref() else {
        return;
    };
    match at.split_once(':') {
        None if at == point => std::process::abort(),
        Some(("panic", at)) if at == point => panic!("an injected fault"),
        _ => {}
    }
}

/// Does nothing without the feature `fault-injection`.
#[cfg(not(feature = "fault-injection"))]
pub fn crash_here(_: &Service, _: &str) {}

/// Waits at this point while a test holds the barrier, if the settings name it as `wait:<point>`.
#[cfg(feature = "fault-injection")]
pub async fn wait_here(service: &Service, point: &str) {
    let at = service.settings.crash_at.as_deref();
    if at.and_then(|at| at.strip_prefix("wait:")) == Some(point)
        && let Err(error) = service.db.pass_barrier().await
    {
        tracing::warn!(%error, "the barrier could not be passed");
    }
}

/// Does nothing without the feature `fault-injection`.
#[cfg(not(feature = "fault-injection"))]
pub async fn wait_here(_: &Service, _: &str) {}
