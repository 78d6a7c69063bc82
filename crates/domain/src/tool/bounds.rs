//! Limits of the duration and the response size of a tool call.

use crate::invalid::{Invalid, Violation};

/// Maximum timeout of a call, in seconds.
pub const MAX_TIMEOUT_SECONDS: u32 = 60;
/// Maximum response size that a spec may set.
pub const MAX_ANSWER_BYTES: u32 = 1_048_576;

/// Default timeout of a call, in seconds.
pub(super) const fn default_timeout() -> u32 {
    10
}

/// Default maximum response size, in bytes.
pub(super) const fn default_answer_bytes() -> u32 {
    65_536
}

/// Validates the timeout of a call.
pub(super) fn check_timeout(seconds: u32, pointer: &str, found: &mut Vec<Violation>) {
    if !(1..=MAX_TIMEOUT_SECONDS).contains(&seconds) {
        let message = format!("1 to {MAX_TIMEOUT_SECONDS} is allowed, not {seconds}");
        found.push(Invalid::new("out_of_range", message).at(format!("{pointer}/timeout_seconds")));
    }
}

/// Validates the maximum response size.
pub(super) fn check_bytes(bytes: u32, pointer: &str, found: &mut Vec<Violation>) {
    if !(1..=MAX_ANSWER_BYTES).contains(&bytes) {
        let message = format!("1 to {MAX_ANSWER_BYTES} is allowed, not {bytes}");
        found.push(Invalid::new("out_of_range", message).at(format!("{pointer}/max_answer_bytes")));
    }
}
