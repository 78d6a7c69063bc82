//! The JSON Schema of a tool's parameters: checked when it is written, so that it can neither reach
//! out of itself nor take for ever.

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

use crate::{Invalid, Violation, invalid::escape};

/// Most bytes of a schema, and of arguments.
const MOST_BYTES: usize = 65_536;
/// Most subschemas once every reference is followed: what one value can cost.
const MOST_STEPS: u64 = 5_000;
/// Words that would lead a reference somewhere else than its text says.
const NO_PLACE: [&str; 5] = [
    "$id",
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$vocabulary",
];
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Adds what is wrong with the schema, with pointers from the spec.
pub(super) fn check(parameters: &Map<String, Value>, found: &mut Vec<Violation>) {
    let schema = Value::Object(parameters.clone());
    let before = found.len();
    if schema.to_string().len() > MOST_BYTES {
        let message = format!("a schema has at most {MOST_BYTES} bytes");
        return found.push(Invalid::new("too_long", message).at("/parameters"));
    }
    if parameters.get("type").and_then(Value::as_str) != Some("object") {
        let message = "arguments are an object: `\"type\": \"object\"` is needed";
        found.push(Invalid::new("not_an_object", message).at("/parameters/type"));
    }
    if parameters
        .get("$schema")
        .is_some_and(|dialect| dialect != DIALECT)
    {
        let message = format!("only {DIALECT} is understood");
        found.push(Invalid::new("unknown_dialect", message).at("/parameters/$schema"));
    }
    check_words(&schema, "/parameters", found);
    if found.len() > before {
        return;
    }
    if let Err(invalid) = steps(&schema, &schema, &mut Vec::new()) {
        return found.push(invalid.at("/parameters"));
    }
    for error in jsonschema::draft202012::meta::validator()
        .iter_errors(&schema)
        .take(20)
    {
        found.push(violation(&error, "/parameters", "invalid_schema"));
    }
    if found.len() == before
        && let Err(error) = compile(&schema)
    {
        found.push(violation(&error, "/parameters", "invalid_schema"));
    }
}

/// Checks arguments; violations point into them.
pub(super) fn check_arguments(
    parameters: &Map<String, Value>,
    arguments: &Value,
) -> Result<(), Vec<Violation>> {
    if arguments.to_string().len() > MOST_BYTES {
        let message = format!("arguments have at most {MOST_BYTES} bytes");
        return Err(vec![Invalid::new("too_long", message).at("")]);
    }
    let validator = compile(&Value::Object(parameters.clone()));
    let validator = validator.map_err(|error| vec![violation(&error, "", "invalid_schema")])?;
    let found: Vec<_> = validator
        .iter_errors(arguments)
        .take(20)
        .map(|error| violation(&error, "", error.kind().keyword()))
        .collect();
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn compile(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    jsonschema::draft202012::options()
        // Linear in the text, whatever the pattern.
        .with_pattern_options(PatternOptions::regex())
        .offline()
        .build(schema)
}

fn violation(error: &ValidationError<'_>, prefix: &str, code: &str) -> Violation {
    let mut message = error.to_string();
    if let Some((end, _)) = message.char_indices().nth(500) {
        message.truncate(end);
    }
    Invalid::new(code, message).at(format!("{prefix}{}", error.instance_path()))
}

fn check_words(schema: &Value, pointer: &str, found: &mut Vec<Violation>) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                let pointer = format!("{pointer}/{}", escape(name));
                let text = value.as_str();
                if NO_PLACE.contains(&name.as_str()) && text.is_some() {
                    let message = format!("`{name}` has no place in a tool's parameters");
                    found.push(Invalid::new("not_supported", message).at(&*pointer));
                }
                if name == "$ref" && text.is_some_and(|to| to != "#" && !to.starts_with("#/")) {
                    let message = "references stay within the schema: `#/…`";
                    found.push(Invalid::new("remote_reference", message).at(&*pointer));
                }
                check_words(value, &pointer, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check_words(item, &format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Counts subschemas with every reference followed, so that neither circles nor references that
/// double at every level get through.
fn steps(root: &Value, at: &Value, path: &mut Vec<String>) -> Result<u64, Invalid> {
    let mut count = 1_u64;
    let mut add = |more: u64| {
        count = count.saturating_add(more);
        match count > MOST_STEPS {
            true => Err(Invalid::new(
                "too_complex",
                format!(
                    "the schema has more than {MOST_STEPS} parts once its references are followed"
                ),
            )),
            false => Ok(()),
        }
    };
    match at {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(to) if name == "$ref" => add(follow(root, to, path)?)?,
                    // What nothing refers to costs nothing.
                    _ if name == "$defs" => {}
                    _ => add(steps(root, value, path)?)?,
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                add(steps(root, item, path)?)?;
            }
        }
        _ => {}
    }
    Ok(count)
}

fn follow(root: &Value, to: &str, path: &mut Vec<String>) -> Result<u64, Invalid> {
    if path.iter().any(|step| step == to) || to == "#" {
        let message = format!("the reference `{to}` leads in a circle");
        return Err(Invalid::new("circular_reference", message));
    }
    let missing = || Invalid::new("dangling_reference", format!("there is nothing at `{to}`"));
    let target = root
        .pointer(to.trim_start_matches('#'))
        .ok_or_else(missing)?;
    path.push(to.to_owned());
    let count = steps(root, target, path)?;
    path.pop();
    Ok(count)
}
