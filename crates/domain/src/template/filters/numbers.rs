//! Filters with a numeric output.

use std::borrow::Cow;

use serde_json::Value;

use super::applied::{Applied, some, some_number, text};
use crate::{
    invalid::Invalid,
    template::{
        budget::Budget,
        value::{Found, failed},
    },
};

fn number(found: &Found<'_>) -> Result<f64, Invalid> {
    let number = found.as_deref().and_then(Value::as_f64);
    number.ok_or_else(|| failed("this filter needs a number"))
}

/// Whether the number is an integer: its digits are kept, however many there are.
fn is_whole(found: &Found<'_>) -> bool {
    matches!(found.as_deref(), Some(Value::Number(number)) if !number.is_f64())
}

pub(super) fn abs<'a>(found: Found<'a>, _: &[Cow<'a, Value>], _: &mut Budget) -> Applied<'a> {
    match found.as_deref().and_then(Value::as_i64) {
        Some(number) => some(number.unsigned_abs()),
        None if is_whole(&found) => Ok(found),
        None => some_number(number(&found)?.abs()),
    }
}

pub(super) fn int<'a>(found: Found<'a>, _: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
    match found.as_deref() {
        _ if is_whole(&found) => Ok(found),
        Some(Value::Number(number)) => some_number(number.as_f64().unwrap_or_default().trunc()),
        Some(Value::Bool(truth)) => some(i64::from(*truth)),
        _ => {
            let text = text(&found, budget)?;
            match (text.trim().parse::<i64>(), text.trim().parse::<f64>()) {
                (Ok(whole), _) => some(whole),
                (_, Ok(number)) => some_number(number.trunc()),
                _ => Err(failed("this text is no number")),
            }
        }
    }
}

pub(super) fn round<'a>(found: Found<'a>, given: &[Cow<'a, Value>], _: &mut Budget) -> Applied<'a> {
    let digits = given.first().map_or(Some(0), |digits| digits.as_i64());
    let digits = digits.filter(|digits| (0..=9).contains(digits));
    let digits = digits.and_then(|digits| i32::try_from(digits).ok());
    let digits = digits.ok_or_else(|| failed("the filter `round` takes 0 to 9 digits"))?;
    if is_whole(&found) {
        return Ok(found);
    }
    let scale = 10_f64.powi(digits);
    some_number((number(&found)? * scale).round() / scale)
}
