//! Values of templates.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;

use crate::invalid::Invalid;

/// The data of a template: values by name.
pub type Data<'a> = BTreeMap<&'a str, &'a Value>;

/// A value, borrowed from the data wherever possible; none if it is undefined.
pub(super) type Found<'a> = Option<Cow<'a, Value>>;

/// A rendering error. It never quotes a value, which may be a secret.
pub(super) fn failed(message: impl Into<String>) -> Invalid {
    Invalid::new("render_failed", message)
}

/// A value as text: strings unchanged, nothing for null, JSON for lists and objects.
pub(super) fn written(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed(""),
        other => Cow::Owned(other.to_string()),
    }
}
