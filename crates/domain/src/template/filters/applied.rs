//! Input and output of filters.

use std::borrow::Cow;

use serde_json::{Number, Value};

use crate::{
    invalid::Invalid,
    template::{
        budget::Budget,
        value::{Found, failed, written},
    },
};

/// The output of a filter.
pub(super) type Applied<'a> = Result<Found<'a>, Invalid>;
/// The function of a filter.
pub(in crate::template) type Apply =
    for<'a> fn(Found<'a>, &[Cow<'a, Value>], &mut Budget) -> Applied<'a>;

/// The value as text, charged to the budget.
pub(super) fn text<'a>(found: &'a Found<'_>, budget: &mut Budget) -> Result<Cow<'a, str>, Invalid> {
    match found.as_deref() {
        Some(value @ (Value::Array(_) | Value::Object(_))) => {
            budget.value(value)?;
            Err(failed("this filter needs a text"))
        }
        Some(value) => {
            let text = written(value);
            budget.text(text.len())?;
            Ok(text)
        }
        None => Err(failed("a value is missing")),
    }
}

/// The output of a filter that makes a new value.
pub(super) fn some<'a>(value: impl Into<Value>) -> Applied<'a> {
    Ok(Some(Cow::Owned(value.into())))
}

/// A number, as an integer if it is one.
pub(super) fn some_number<'a>(number: f64) -> Applied<'a> {
    let whole = number.fract() == 0.0 && number.abs() < 9e15;
    let value = match whole {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        true => Number::from(number as i64),
        false => Number::from_f64(number).ok_or_else(|| failed("this is no number"))?,
    };
    some(value)
}
