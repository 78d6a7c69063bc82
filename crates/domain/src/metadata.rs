//! A client's own key-value data, stored and returned unchanged.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{invalid::Invalid, raw_json::RawJson};

/// Maximum bytes of metadata as JSON.
pub const MAX_BYTES: usize = 16 * 1024;

/// A JSON object of at most [`MAX_BYTES`], stored as text. It contains no NUL, which PostgreSQL cannot store.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(
    feature = "diesel",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)
)]
#[cfg_attr(feature = "diesel", diesel(sql_type = diesel::sql_types::Jsonb))]
#[serde(transparent)]
pub struct Metadata(RawJson);

/// By value, regardless of formatting.
impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Self(RawJson::empty_object())
    }
}

impl Metadata {
    /// Validates the size of metadata.
    pub fn new(map: Map<String, Value>) -> Result<Self, Invalid> {
        let text = RawJson::of(&map);
        let text = text.map_err(|error| Invalid::new("not_json", error.to_string()))?;
        if text.len() > MAX_BYTES {
            let message = format!(
                "at most {MAX_BYTES} bytes of JSON are allowed, not {}",
                text.len()
            );
            return Err(Invalid::new("too_large", message));
        }
        if map
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value))
        {
            return Err(Invalid::new("control_character", "NUL is not allowed"));
        }
        Ok(Self(text))
    }

    /// With a merge patch (RFC 7396) applied; `None` clears it.
    pub fn merged(&self, patch: Option<Self>) -> Result<Self, Invalid> {
        let Some(patch) = patch else {
            return Ok(Self::default());
        };
        let mut merged = self.value()?;
        merge(&mut merged, &patch.value()?);
        merged.try_into()
    }

    /// The same as a JSON value.
    pub fn value(&self) -> Result<Value, Invalid> {
        let value = self.0.read();
        value.map_err(|error| Invalid::new("not_json", error.to_string()))
    }
}

/// Whether a string or a field name contains NUL. Recursion is bounded by the parser's depth limit.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(map) => map
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    #[cfg(fuzz_planted)]
    if patch.is_empty() && target.is_array() {
        return;
    }
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

#[cfg(feature = "openapi")]
mod schema {
    use utoipa::{
        ToSchema,
        openapi::{
            RefOr,
            schema::{AdditionalProperties, ObjectBuilder, Schema, Type},
        },
    };

    use crate::schema::ComposeSchema;

    use super::Metadata;

    impl ComposeSchema for Metadata {
        fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(Type::Object)
                .additional_properties(Some(AdditionalProperties::FreeForm(true)))
                .into()
        }
    }
    impl ToSchema for Metadata {}
}

#[cfg(feature = "diesel")]
mod columns {
    use diesel::{
        deserialize::{self, FromSql},
        pg::{Pg, PgValue},
        serialize::{self, Output, ToSql},
        sql_types::Jsonb,
    };

    use super::{Metadata, RawJson};

    impl FromSql<Jsonb, Pg> for Metadata {
        fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
            RawJson::from_sql(value).map(Self)
        }
    }

    impl ToSql<Jsonb, Pg> for Metadata {
        fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
            <RawJson as ToSql<Jsonb, Pg>>::to_sql(&self.0, out)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nul_is_refused_wherever_it_is() {
        for value in [
            json!({"a": "\0"}),
            json!({"\0": 1}),
            json!({"a": [1, {"b\0": 2}]}),
            json!({"a": {"b": ["x\0y"]}}),
        ] {
            let refused = Metadata::try_from(value).unwrap_err();
            assert_eq!(refused.code, "control_character");
        }
    }

    #[test]
    fn patches_merge_and_null_removes() {
        let metadata = |value: Value| Metadata::try_from(value).unwrap();
        let before = metadata(json!({"a": 1, "b": {"c": 2, "d": 3}}));
        let patch = metadata(json!({"a": null, "b": {"c": {"e": null, "f": 4}}}));
        let after = before.merged(Some(patch)).unwrap();
        assert_eq!(
            after.value().unwrap(),
            json!({"b": {"c": {"f": 4}, "d": 3}})
        );
        assert_eq!(before.merged(None).unwrap().value().unwrap(), json!({}));
    }
}
