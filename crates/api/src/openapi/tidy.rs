//! Post-processing of utoipa's schemas: simple types are inlined, `null` becomes part of a type, and fields that a
//! response always has are required.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::references::REF;

/// Prefix of the components of patch fields.
const PATCH: &str = "Patch_";

/// Returns the processed components, without those that are inlined.
pub(super) fn components(raw: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    raw.iter()
        .filter(|(name, schema)| !is_simple(schema) && !name.starts_with(PATCH))
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            inline(&mut schema, raw);
            require_nullable(&mut schema);
            describe_defaults(&mut schema);
            add_bounds(&mut schema);
            (name.clone(), schema)
        })
        .collect()
}

/// Whether a component is only a string, a free-form object or a union.
fn is_simple(schema: &Value) -> bool {
    schema.get("properties").is_none() && schema.get("enum").is_none()
}

/// Renames references to the component of a patch field, `Patch_X`, which has the schema of `X`.
pub(super) fn unwrap_patches(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref") {
                *target = target.replace(PATCH, "");
            }
            fields.values_mut().for_each(unwrap_patches);
        }
        Value::Array(items) => items.iter_mut().for_each(unwrap_patches),
        _ => {}
    }
}

/// Inlines simple components everywhere in `value`.
pub(super) fn inline(value: &mut Value, raw: &BTreeMap<String, Value>) {
    if let Value::Object(fields) = value {
        let target = fields
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|target| target.strip_prefix(REF))
            .and_then(|name| raw.get(name))
            .filter(|schema| is_simple(schema));
        if let Some(Value::Object(target)) = target {
            fields.remove("$ref");
            for (name, value) in target {
                fields.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| inline(value, raw)),
        Value::Array(items) => items.iter_mut().for_each(|item| inline(item, raw)),
        _ => {}
    }
    merge_null(value);
}

/// Converts `oneOf [T, null]` with a simple `T` to `type [T, null]`, and moves a description outwards.
fn merge_null(value: &mut Value) {
    let Value::Object(fields) = value else {
        return;
    };
    let Some(Value::Array(branches)) = fields.get("oneOf") else {
        return;
    };
    let is_null = |branch: &Value| *branch == json!({ "type": "null" });
    let [one] = &*branches
        .iter()
        .filter(|b| !is_null(b))
        .cloned()
        .collect::<Vec<_>>()
    else {
        return;
    };
    let mut one: Map<_, _> = one.as_object().cloned().unwrap_or_default();
    if one.contains_key("$ref") || one.contains_key("enum") {
        if let Some(description) = one.remove("description") {
            fields.entry("description").or_insert(description);
        }
        fields.insert("oneOf".to_owned(), json!([one, { "type": "null" }]));
        return;
    }
    fields.remove("oneOf");
    if let Some(Value::Array(branches)) = one.get_mut("anyOf") {
        branches.push(json!({ "type": "null" }));
        for (name, value) in one {
            fields.entry(name).or_insert(value);
        }
        return;
    }
    let kind = one.remove("type").unwrap_or_default();
    fields.insert("type".to_owned(), json!([kind, "null"]));
    for (name, value) in one {
        fields.entry(name).or_insert(value);
    }
}

/// The largest integer that every JSON parser represents exactly.
const MAX_SAFE: i64 = 9_007_199_254_740_991;

/// Adds the bounds that follow from formats, and what generators need to be told: that an object without properties
/// may have any.
pub(super) fn add_bounds(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let is = |fields: &Map<String, Value>, kind: &str| match &fields.get("type") {
                Some(Value::Array(types)) => types.iter().any(|t| t == kind),
                one => one.is_some_and(|t| t == kind),
            };
            let format = fields
                .get("format")
                .and_then(Value::as_str)
                .map(str::to_owned);
            if is(fields, "string") && matches!(format.as_deref(), Some("date-time" | "uuid")) {
                fields.entry("maxLength").or_insert(json!(64));
            }
            if is(fields, "integer") && !fields.contains_key("enum") {
                let narrow = format.as_deref() == Some("int32");
                let largest = if narrow {
                    i64::from(i32::MAX)
                } else {
                    MAX_SAFE
                };
                fields.entry("maximum").or_insert(json!(largest));
                fields.entry("minimum").or_insert(json!(0));
            }
            if is(fields, "object") && !fields.contains_key("properties") {
                fields.entry("additionalProperties").or_insert(json!(true));
            }
            // That names are strings goes without saying.
            if fields.get("propertyNames") == Some(&json!({ "type": "string" })) {
                fields.remove("propertyNames");
            }
            let schemas = fields.iter_mut().filter(|(name, _)| *name != "example");
            schemas.for_each(|(_, schema)| add_bounds(schema));
        }
        Value::Array(items) => items.iter_mut().for_each(add_bounds),
        _ => {}
    }
}

fn is_nullable(schema: &Value) -> bool {
    let in_type = schema["type"]
        .as_array()
        .is_some_and(|types| types.contains(&json!("null")));
    let in_branch = |name: &str| {
        let branches = schema[name].as_array();
        branches.is_some_and(|branches| branches.contains(&json!({ "type": "null" })))
    };
    in_type || in_branch("oneOf") || in_branch("anyOf")
}

/// Marks nullable fields of responses as required, since they are always present. Schemas of requests, which
/// refuse unknown fields, are left unchanged.
fn require_nullable(schema: &mut Value) {
    if schema.get("additionalProperties") == Some(&json!(false)) {
        return;
    }
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let nullable: Vec<_> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, property)| is_nullable(property))
        .map(|(name, _)| json!(name))
        .filter(|name| !required.contains(name))
        .collect();
    if nullable.is_empty() {
        return;
    }
    schema["required"] = required.into_iter().chain(nullable).collect();
}

/// Moves the defaults of fields to their descriptions: generators take a field with a default for one that is always
/// there, also in requests.
fn describe_defaults(schema: &mut Value) {
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (_, field) in fields.into_iter().flatten() {
        let default = field
            .as_object_mut()
            .and_then(|field| field.remove("default"));
        let Some(default) = default.filter(|default| !default.is_null()) else {
            continue;
        };
        let description = field["description"].as_str().unwrap_or_default();
        field["description"] = format!("{description} Default: `{default}`.").into();
    }
}

/// Removes null from the schema of a query parameter, which can only be absent.
pub(super) fn without_null(schema: &mut Value) {
    if let Some(types) = schema["type"].as_array() {
        let rest = types.iter().find(|kind| **kind != json!("null")).cloned();
        schema["type"] = rest.unwrap_or_default();
    }
    if let Some(branches) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        branches.retain(|branch| *branch != json!({ "type": "null" }));
    }
    if let Some(branches) = schema["oneOf"].as_array().cloned() {
        let rest = branches
            .into_iter()
            .find(|b| *b != json!({ "type": "null" }));
        if let (Some(Value::Object(rest)), Some(fields)) = (rest, schema.as_object_mut()) {
            fields.remove("oneOf");
            fields.extend(rest);
        }
    }
}

/// Adds an example to every body whose schema has none.
pub(super) fn add_examples(value: &mut Value, raw: &BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("content", Value::Object(media)) => {
                        for body in media.values_mut().filter(|body| !has_example(body, raw)) {
                            body["example"] = example(&body["schema"], raw);
                        }
                    }
                    (_, value) => add_examples(value, raw),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| add_examples(item, raw)),
        _ => {}
    }
}

/// Whether a body or its schema has an example.
fn has_example(body: &Value, raw: &BTreeMap<String, Value>) -> bool {
    let schema = body["schema"]["$ref"].as_str();
    let schema = schema.and_then(|target| raw.get(target.strip_prefix(REF)?));
    let own = body
        .get("example")
        .or_else(|| body["schema"].get("example"));
    own.is_some() || schema.is_some_and(|schema| schema.get("example").is_some())
}

/// Returns the example of a schema, or one generated from its properties.
fn example(schema: &Value, raw: &BTreeMap<String, Value>) -> Value {
    if let Some(example) = schema.get("example") {
        return example.clone();
    }
    let target = schema["$ref"]
        .as_str()
        .and_then(|target| target.strip_prefix(REF));
    if let Some(target) = target.and_then(|name| raw.get(name)) {
        return example(target, raw);
    }
    if let Some(Value::Object(properties)) = schema.get("properties") {
        return properties
            .iter()
            .map(|(name, property)| (name.clone(), example(property, raw)))
            .collect::<Map<_, _>>()
            .into();
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (_, Some("uuid")) => json!("0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10"),
        (_, Some("date-time")) => json!("2026-11-23T20:00:00Z"),
        (Some("integer"), _) => json!(1),
        (Some("string"), _) if is_digest(schema) => json!("44136fa3".repeat(8)),
        (Some("string"), _) => json!("…"),
        (Some("array"), _) => json!([example(&schema["items"], raw)]),
        _ => Value::Null,
    }
}

/// Whether a string is a SHA-256 in hexadecimal digits.
fn is_digest(schema: &Value) -> bool {
    let pattern = schema["pattern"].as_str();
    pattern.is_some_and(|pattern| pattern.ends_with("]{64}$"))
}
