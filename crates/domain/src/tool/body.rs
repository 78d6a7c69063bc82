//! JSON bodies in which every string is a template.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::template::{Filling, check_template};
use crate::invalid::{Invalid, Place, Violation};

/// Visits every string of a body.
pub(super) fn each_string(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().for_each(|item| each_string(item, visit)),
        Value::Object(fields) => fields.values().for_each(|value| each_string(value, visit)),
        _ => {}
    }
}

/// Validates every string of a body as a template.
pub(super) fn check_strings(
    value: &Value,
    at: &mut Place,
    declared: Option<&BTreeSet<&str>>,
    found: &mut Vec<Violation>,
) {
    match value {
        Value::String(source) => check_template(source, declared, at, found),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                at.item(index, |at| check_strings(item, at, declared, found));
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                at.field(name, |at| check_strings(value, at, declared, found));
            }
        }
        _ => {}
    }
}

/// A JSON value with its strings rendered; none if it has no value.
pub(super) fn fill(value: &Value, filling: &mut Filling<'_>) -> Result<Option<Value>, Invalid> {
    Ok(Some(match value {
        Value::String(source) => return filling.value(source),
        Value::Array(items) => {
            let filled: Result<Vec<_>, _> = items.iter().map(|item| fill(item, filling)).collect();
            filled?.into_iter().flatten().collect()
        }
        Value::Object(fields) => {
            let mut filled = Map::new();
            for (name, value) in fields {
                if let Some(value) = fill(value, filling)? {
                    filled.insert(name.clone(), value);
                }
            }
            Value::Object(filled)
        }
        other => other.clone(),
    }))
}
