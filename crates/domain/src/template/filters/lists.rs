//! Filters for lists and objects, and for missing values.

use std::borrow::Cow;

use serde_json::Value;

use super::applied::{Applied, some, text};
use crate::template::{
    budget::Budget,
    value::{Found, failed, written},
};

pub(super) fn default<'a>(
    found: Found<'a>,
    given: &[Cow<'a, Value>],
    _: &mut Budget,
) -> Applied<'a> {
    match found {
        Some(value) if !value.is_null() => Ok(Some(value)),
        _ => Ok(given.first().cloned()),
    }
}

pub(super) fn first<'a>(
    found: Found<'a>,
    _: &[Cow<'a, Value>],
    budget: &mut Budget,
) -> Applied<'a> {
    match found {
        Some(Cow::Borrowed(Value::Array(items))) => Ok(items.first().map(Cow::Borrowed)),
        found => some(
            text(&found, budget)?
                .chars()
                .next()
                .map_or_else(String::new, String::from),
        ),
    }
}

pub(super) fn join<'a>(
    found: Found<'a>,
    given: &[Cow<'a, Value>],
    budget: &mut Budget,
) -> Applied<'a> {
    let Some(Value::Array(items)) = found.as_deref() else {
        return Err(failed("the filter `join` needs a list"));
    };
    let between = match given.first() {
        Some(between) => {
            budget.value(between)?;
            written(between)
        }
        None => Cow::Borrowed(""),
    };
    let mut joined = String::new();
    for (index, item) in items.iter().enumerate() {
        budget.step()?;
        budget.value(item)?;
        if index > 0 {
            budget.text(between.len())?;
            joined.push_str(&between);
        }
        joined.push_str(&written(item));
    }
    some(joined)
}

pub(super) fn last<'a>(found: Found<'a>, _: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
    match found {
        Some(Cow::Borrowed(Value::Array(items))) => Ok(items.last().map(Cow::Borrowed)),
        found => some(
            text(&found, budget)?
                .chars()
                .next_back()
                .map_or_else(String::new, String::from),
        ),
    }
}

pub(super) fn length<'a>(
    found: Found<'a>,
    _: &[Cow<'a, Value>],
    budget: &mut Budget,
) -> Applied<'a> {
    match found.as_deref() {
        Some(Value::Array(items)) => some(items.len()),
        Some(Value::Object(fields)) => some(fields.len()),
        Some(Value::String(text)) => {
            budget.text(text.len())?;
            some(text.chars().count())
        }
        _ => Err(failed("this value has no length")),
    }
}
