//! Points at which tests end the process or make it panic, to prove that a crash there is repaired. Without
//! the feature `fault-injection`, as in every release, there are none.

use crate::Service;

/// Aborts the process, or panics, if the settings name this point.
#[cfg(feature = "fault-injection")]
pub fn crash_here(service: &Service, point: &str) {
    let Some(at) = service.settings.crash_at.as_deref() else {
        return;
    };
    match at.split_once(':') {
        None if at == point => std::process::abort(),
        Some(("panic", at)) if at == point => panic!("a planted fault"),
        _ => {}
    }
}

/// Does nothing.
#[cfg(not(feature = "fault-injection"))]
pub fn crash_here(_: &Service, _: &str) {}
