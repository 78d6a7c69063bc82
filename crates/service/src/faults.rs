//! Fault injection: points at which tests abort the process or make it panic, to verify recovery. They are
//! compiled only with the feature `fault-injection`, which no release has.

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
