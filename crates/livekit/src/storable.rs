//! Removes NUL from texts, as PostgreSQL cannot store it. Names of participants and messages of carriers come
//! through LiveKit unchecked.

use std::collections::HashMap;

use serde_json::Value;

/// The text without NUL.
pub(crate) fn text(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', ""),
        false => text,
    }
}

/// Attributes without NUL.
pub(crate) fn attributes(attributes: HashMap<String, String>) -> HashMap<String, String> {
    let clean = attributes.into_iter().map(|(k, v)| (text(k), text(v)));
    clean.collect()
}

/// JSON without NUL in any string or name of a field.
pub(crate) fn json(value: Value) -> Value {
    match value {
        Value::String(string) => Value::String(text(string)),
        Value::Array(items) => items.into_iter().map(json).collect(),
        Value::Object(fields) => {
            let clean = fields.into_iter().map(|(k, v)| (text(k), json(v)));
            Value::Object(clean.collect())
        }
        other => other,
    }
}
