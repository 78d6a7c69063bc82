//! How long a call may take, and how much may be answered.

use crate::invalid::{Invalid, Violation};

/// Longest time that one call may take, in seconds.
pub const MAX_TIMEOUT_SECONDS: u32 = 60;
/// Most bytes of an answer that a spec may ask for.
pub const MAX_ANSWER_BYTES: u32 = 1_048_576;

/// Seconds that a call may take where the spec says nothing.
pub(super) const fn default_timeout() -> u32 {
    10
}

/// Bytes that an answer may have where the spec says nothing.
pub(super) const fn default_answer_bytes() -> u32 {
    65_536
}

/// Adds what is wrong with the time that a call may take.
pub(super) fn check_timeout(seconds: u32, pointer: &str, found: &mut Vec<Violation>) {
    if !(1..=MAX_TIMEOUT_SECONDS).contains(&seconds) {
        let message = format!("1 to {MAX_TIMEOUT_SECONDS} is allowed, not {seconds}");
        found.push(Invalid::new("out_of_range", message).at(format!("{pointer}/timeout_seconds")));
    }
}

/// Adds what is wrong with the length that an answer may have.
pub(super) fn check_bytes(bytes: u32, pointer: &str, found: &mut Vec<Violation>) {
    if !(1..=MAX_ANSWER_BYTES).contains(&bytes) {
        let message = format!("1 to {MAX_ANSWER_BYTES} is allowed, not {bytes}");
        found.push(Invalid::new("out_of_range", message).at(format!("{pointer}/max_answer_bytes")));
    }
}
