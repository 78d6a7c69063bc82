//! References to components.

use serde_json::{Map, Value, json};

/// What references to schemas begin with.
pub(super) const REF: &str = "#/components/schemas/";

/// A reference to a header.
pub(super) fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// Returns the schemas that a value refers to, and those that these refer to.
pub(super) fn reachable(value: &Value, schemas: &Map<String, Value>) -> Map<String, Value> {
    let (mut found, mut open) = (Map::new(), Vec::new());
    collect(value, &mut open);
    while let Some(name) = open.pop() {
        if let Some(schema) = schemas.get(&name).filter(|_| !found.contains_key(&name)) {
            collect(schema, &mut open);
            found.insert(name, schema.clone());
        }
    }
    found
}

/// Collects the names of the schemas that a value refers to.
fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let target = fields.get("$ref").and_then(Value::as_str);
            let name = target.and_then(|target| target.strip_prefix(REF));
            names.extend(name.map(str::to_owned));
            fields.values().for_each(|value| collect(value, names));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}
