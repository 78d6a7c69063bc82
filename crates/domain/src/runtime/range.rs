//! The ranges of numbers.

use crate::invalid::{Invalid, Violation};

/// Adds that a number is out of its range, where it is; both ends are in it.
pub(super) fn check(
    pointer: &str,
    value: impl Into<f64>,
    (low, high): (f64, f64),
    found: &mut Vec<Violation>,
) {
    let value = value.into();
    if !(low..=high).contains(&value) {
        let message = format!("{low} to {high} is allowed, not {value}");
        found.push(Invalid::new("out_of_range", message).at(pointer));
    }
}
