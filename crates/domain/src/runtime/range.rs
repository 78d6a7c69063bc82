//! Range checks.

use crate::invalid::{Invalid, Violation};

/// Adds a violation if a number is outside of its range; both bounds are inclusive.
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
