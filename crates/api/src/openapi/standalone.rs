//! Schemas of requests as documents of their own, for validation.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{
    names::component_name,
    operation::Operation,
    references::{REF, reachable},
};

/// Returns the schema of a body, which is one of the `components` of the whole document.
pub fn body_schema<T: ToSchema>(components: &Value) -> Value {
    let schema = json!({ "$ref": format!("{}{}", REF, component_name::<T>()) });
    with_components(schema, components)
}

/// Returns the schema of a query as an object of strings; it may refer to `components`.
pub fn query_schema<T: ToSchema>(components: &Value) -> Value {
    let mut operation = Operation::default();
    operation.filters::<T>();
    let parameters = operation.value.get("parameters").and_then(Value::as_array);
    let properties = parameters.into_iter().flatten().map(|parameter| {
        let name = parameter["name"].as_str().unwrap_or_default();
        (name.to_owned(), as_text(parameter["schema"].clone()))
    });
    let properties: Map<_, _> = properties.collect();
    let schema =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    with_components(schema, components)
}

/// A boolean is one of two words in a query.
fn as_text(schema: Value) -> Value {
    if schema["type"] == "boolean" {
        return json!({ "enum": ["true", "false"] });
    }
    schema
}

/// Adds the components that a schema needs: a validator keeps what it is given.
fn with_components(mut schema: Value, components: &Value) -> Value {
    let components = components["schemas"].as_object();
    let needed = components
        .map(|all| reachable(&schema, all))
        .unwrap_or_default();
    schema["components"] = json!({ "schemas": needed });
    schema
}
