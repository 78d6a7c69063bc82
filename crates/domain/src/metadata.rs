//! A caller's own key-value data, kept and returned as it came.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::{
    __dev::ComposeSchema,
    ToSchema,
    openapi::{
        RefOr,
        schema::{AdditionalProperties, ObjectBuilder, Schema, Type},
    },
};

use crate::Invalid;

/// Most bytes that metadata may take as JSON.
pub const MAX_BYTES: usize = 16 * 1024;

/// A JSON object of at most [`MAX_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Metadata(Map<String, Value>);

impl Metadata {
    /// The metadata, unless it is too large.
    pub fn new(map: Map<String, Value>) -> Result<Self, Invalid> {
        let bytes = serde_json::to_vec(&map).map_or(usize::MAX, |json| json.len());
        if bytes > MAX_BYTES {
            return Err(Invalid::new(
                "too_large",
                format!("at most {MAX_BYTES} bytes of JSON are allowed, not {bytes}"),
            ));
        }
        Ok(Self(map))
    }

    /// With a merge patch (RFC 7396) applied; `None` clears it.
    pub fn merged(&self, patch: Option<Self>) -> Result<Self, Invalid> {
        let Some(patch) = patch else {
            return Ok(Self::default());
        };
        let mut merged = Value::Object(self.0.clone());
        merge(&mut merged, &Value::Object(patch.0));
        merged.try_into()
    }

    /// The same as a JSON value.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

impl TryFrom<Value> for Metadata {
    type Error = Invalid;
    fn try_from(value: Value) -> Result<Self, Invalid> {
        match value {
            Value::Object(map) => Self::new(map),
            _ => Err(Invalid::new("not_an_object", "a JSON object is needed")),
        }
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Map::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl ComposeSchema for Metadata {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into()
    }
}
impl ToSchema for Metadata {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_merge_and_null_removes() {
        let metadata = |value: Value| Metadata::try_from(value).unwrap();
        let before = metadata(json!({"a": 1, "b": {"c": 2, "d": 3}}));
        let patch = metadata(json!({"a": null, "b": {"c": {"e": null, "f": 4}}}));
        let after = before.merged(Some(patch)).unwrap();
        assert_eq!(after, metadata(json!({"b": {"c": {"f": 4}, "d": 3}})));
        assert_eq!(before.merged(None).unwrap(), Metadata::default());
    }
}
