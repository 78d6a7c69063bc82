//! The JSON Schema of a tool's parameters, and arguments for it.

use arbitrary::{Result, Unstructured};
use patchbay_domain::tool::ToolSpec;
use serde_json::{Map, Value, json};

use crate::input::{NAMES, halves, json, name, object};

const TYPES: [&str; 7] = [
    "string", "integer", "number", "boolean", "array", "object", "null",
];
const PATTERNS: [&str; 5] = ["^a+$", "(a|b)*c", "\\pL{1,20}", "(?i)[a-z]{3}", "("];

/// A schema and arguments: as two lines of JSON, and from any bytes.
pub fn target(data: &[u8]) {
    let (schema, arguments) = halves(data);
    if let (Ok(schema), Ok(arguments)) = (
        serde_json::from_slice(schema),
        serde_json::from_slice(arguments),
    ) {
        check(schema, &arguments);
    }
    let _ = run(&mut Unstructured::new(data));
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let mut root = schema(u, 3)?;
    root.insert("type".to_owned(), "object".into());
    let defs = (0..u.int_in_range(0..=2)?).map(|_| Ok((name(u)?.to_owned(), schema(u, 2)?.into())));
    let defs = defs.collect::<Result<Map<_, _>>>()?;
    root.insert("$defs".to_owned(), defs.into());
    let arguments = match u.ratio(7, 8)? {
        true => object(u, 3)?.into(),
        false => json(u, 2)?,
    };
    check(root, &arguments);
    Ok(())
}

/// Validation under an accepted schema terminates, is deterministic, and accepts no invalid arguments.
fn check(schema: Map<String, Value>, arguments: &Value) {
    let spec =
        json!({ "function_name": "f", "description": "d", "parameters": schema, "client": {} });
    let Ok(spec) = serde_json::from_value::<ToolSpec>(spec) else {
        return;
    };
    let checked = spec.check();
    assert_eq!(spec.check(), checked, "checked twice");
    if checked.is_err() {
        return;
    }
    let outcome = spec.check_arguments(arguments);
    assert_eq!(spec.check_arguments(arguments), outcome, "checked twice");
    match outcome {
        Ok(()) => assert!(obeys(&schema, arguments), "{schema:?} allows {arguments}"),
        Err(found) => {
            assert!(!found.is_empty());
            assert!(
                found
                    .iter()
                    .all(|violation| violation.code != "invalid_schema"),
                "{schema:?}"
            );
        }
    }
}

/// The basic rules: an object, its required fields, and their types.
fn obeys(schema: &Map<String, Value>, arguments: &Value) -> bool {
    let Some(fields) = arguments.as_object() else {
        return false;
    };
    let required = schema.get("required").and_then(Value::as_array);
    let mut required = required.into_iter().flatten().filter_map(Value::as_str);
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut properties = properties.into_iter().flatten();
    required.all(|name| fields.contains_key(name))
        && properties.all(|(name, rules)| {
            let kind = rules.get("type").and_then(Value::as_str);
            fields
                .get(name)
                .zip(kind)
                .is_none_or(|(value, kind)| is_of(kind, value))
        })
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn schema(u: &mut Unstructured<'_>, depth: u32) -> Result<Map<String, Value>> {
    let mut schema = Map::new();
    for _ in 0..u.int_in_range(0..=3)? {
        let (word, value) = rule(u, depth)?;
        schema.insert(word.to_owned(), value);
    }
    Ok(schema)
}

fn rule(u: &mut Unstructured<'_>, depth: u32) -> Result<(&'static str, Value)> {
    let plain = if depth == 0 { 7 } else { 13 };
    Ok(match u.int_in_range(0..=plain)? {
        0 => ("type", (*u.choose(&TYPES)?).into()),
        1 => ("enum", vec![json(u, 1)?, json(u, 1)?].into()),
        2 => ("const", json(u, 1)?),
        3 => ("required", vec![name(u)?].into()),
        4 => (
            u.choose(&["minLength", "maxLength", "minItems", "maxItems"])?,
            u.arbitrary::<u8>()?.into(),
        ),
        5 => (
            u.choose(&["minimum", "maximum", "multipleOf"])?,
            json(u, 0)?,
        ),
        6 => ("pattern", (*u.choose(&PATTERNS)?).into()),
        7 => (
            "$ref",
            format!(
                "#/$defs/{}",
                u.choose(&NAMES)?.replace('~', "~0").replace('/', "~1")
            )
            .into(),
        ),
        8 => ("items", schema(u, depth - 1)?.into()),
        9 => ("not", schema(u, depth - 1)?.into()),
        10 => (
            u.choose(&["anyOf", "allOf", "oneOf"])?,
            vec![schema(u, depth - 1)?, schema(u, depth - 1)?].into(),
        ),
        11 => ("additionalProperties", u.arbitrary::<bool>()?.into()),
        12 => ("uniqueItems", u.arbitrary::<bool>()?.into()),
        _ => {
            let fields = (0..u.int_in_range(0..=3)?)
                .map(|_| Ok((name(u)?.to_owned(), schema(u, depth - 1)?.into())));
            ("properties", fields.collect::<Result<Map<_, _>>>()?.into())
        }
    })
}
