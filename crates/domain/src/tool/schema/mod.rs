//! The JSON Schema of a tool's parameters: validated on creation, so that it cannot load anything from elsewhere
//! nor cost more than a fixed amount of work, whatever the arguments are.

mod compile;
mod cost;
mod patterns;
mod words;

use compile::compile;
use cost::Cost;
use jsonschema::ValidationError;
use patterns::check_patterns;
use serde_json::{Map, Value};
use words::check_words;

use crate::{
    invalid::{Invalid, Place, Violation},
    json_schema::first_violation,
};

/// Maximum bytes of a schema, and of arguments.
const MOST_BYTES: usize = 65_536;
/// Maximum product of a schema's subschemas and the arguments' nodes: the cost of validation.
const MOST_WORK: u64 = 500_000;
/// The same where an error lists all alternatives, which takes memory for each.
const MOST_WORK_EXPLAINED: u64 = 20_000;
/// Maximum units of pattern matching.
const MOST_MATCHING: u64 = 500_000;
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Validates the schema; violations have pointers into the spec.
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
    check_words(&schema, &mut Place::at("/parameters"), true, found);
    check_patterns(&schema, found);
    if found.len() > before {
        return;
    }
    if let Err(invalid) = Cost::of(&schema) {
        return found.push(invalid.at("/parameters"));
    }
    let valid = jsonschema::draft202012::meta::validator().validate(&schema);
    if let Err(error) = valid.and_then(|()| compile(&schema).map(drop)) {
        found.push(violation(&error, "/parameters", "invalid_schema"));
    }
}

/// Validates arguments; only the first violation is returned, and it points into them.
pub(super) fn check_arguments(
    parameters: &Map<String, Value>,
    arguments: &Value,
) -> Result<(), Vec<Violation>> {
    let refused = |code: &str, message: String| Err(vec![Invalid::new(code, message).at("")]);
    if arguments.to_string().len() > MOST_BYTES {
        return refused(
            "too_long",
            format!("arguments have at most {MOST_BYTES} bytes"),
        );
    }
    let schema = Value::Object(parameters.clone());
    // Versions that were created under other limits are bounded here as well.
    let mut found = Vec::new();
    check_words(&schema, &mut Place::default(), true, &mut found);
    check_patterns(&schema, &mut found);
    if !found.is_empty() {
        return Err(found);
    }
    let cost = Cost::of(&schema).map_err(|invalid| vec![invalid.at("")])?;
    let (nodes, text) = size(arguments);
    let work = cost.parts.saturating_mul(nodes);
    if work > MOST_WORK || cost.matching.saturating_mul(text) > MOST_MATCHING {
        let message = "the arguments are too large for a schema of this size";
        return refused("too_complex", message.to_owned());
    }
    let validator = compile(&schema);
    let validator = validator.map_err(|error| vec![violation(&error, "", "invalid_schema")])?;
    if validator.is_valid(arguments) {
        return Ok(());
    }
    if work > MOST_WORK_EXPLAINED && has_alternatives(&schema) {
        let message = "the arguments do not match the schema; they are too many to say where";
        return refused("schema_mismatch", message.to_owned());
    }
    Err(first_violation(&validator, arguments).into_iter().collect())
}

/// The number of nodes of a value and the bytes of its strings.
fn size(value: &Value) -> (u64, u64) {
    let sum = |sizes: &mut dyn Iterator<Item = (u64, u64)>| {
        sizes.fold((1, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
    };
    match value {
        Value::String(text) => (1, text.len() as u64),
        Value::Array(items) => sum(&mut items.iter().map(size)),
        Value::Object(fields) => sum(&mut fields.iter().map(|(name, value)| {
            let (nodes, text) = size(value);
            (nodes, text + name.len() as u64)
        })),
        _ => (1, 0),
    }
}

/// Whether an error would contain those of every alternative.
fn has_alternatives(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| matches!(&**name, "anyOf" | "oneOf") || has_alternatives(value)),
        Value::Array(items) => items.iter().any(has_alternatives),
        _ => false,
    }
}

fn violation(error: &ValidationError<'_>, prefix: &str, code: &str) -> Violation {
    let mut message = error.to_string();
    if let Some((end, _)) = message.char_indices().nth(500) {
        message.truncate(end);
    }
    Invalid::new(code, message).at(format!("{prefix}{}", error.instance_path()))
}
