//! The JSON Schema of a tool's parameters: checked when it is written, so that it can neither reach
//! out of itself nor cost more than a fixed amount of work, whatever arguments it meets.

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

use crate::{Invalid, Violation, invalid::escape};

/// Most bytes of a schema, and of arguments.
const MOST_BYTES: usize = 65_536;
/// Most subschemas once every reference is followed: what one value can cost.
const MOST_STEPS: u64 = 5_000;
/// Most levels of a schema once every reference is followed.
const MOST_LEVELS: usize = 64;
/// Most patterns of a schema.
const MOST_PATTERNS: usize = 50;
/// Most characters of a pattern.
const MOST_PATTERN: usize = 500;
/// Most bytes of a compiled pattern: what a bounded repetition of a large class may come to.
const MOST_PATTERN_BYTES: usize = 65_536;
/// Most parts of a schema times nodes of the arguments: what checking them costs.
const MOST_WORK: usize = 500_000;
/// The same where alternatives are told apart for the sake of an error, which takes memory for each.
const MOST_WORK_EXPLAINED: usize = 20_000;
/// Most patterns of a schema times bytes of text in the arguments.
const MOST_MATCHING: usize = 262_144;
/// Words that would lead a reference somewhere else than its text says, or that look at a value once more for
/// each level of it.
const NO_PLACE: [&str; 7] = [
    "$id",
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$vocabulary",
    "unevaluatedItems",
    "unevaluatedProperties",
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
    check_patterns(&schema, found);
    if found.len() > before {
        return;
    }
    if let Err(invalid) = steps(&schema, &schema, &mut Vec::new(), 0) {
        return found.push(invalid.at("/parameters"));
    }
    let valid = jsonschema::draft202012::meta::validator().validate(&schema);
    if let Err(error) = valid.and_then(|()| compile(&schema).map(drop)) {
        found.push(violation(&error, "/parameters", "invalid_schema"));
    }
}

/// Bounds number and length of patterns before any is compiled.
fn check_patterns(schema: &Value, found: &mut Vec<Violation>) {
    let mut patterns = Vec::new();
    collect_patterns(schema, &mut patterns);
    let message = if patterns.len() > MOST_PATTERNS {
        format!("a schema has at most {MOST_PATTERNS} patterns")
    } else if patterns
        .iter()
        .any(|pattern| pattern.chars().count() > MOST_PATTERN)
    {
        format!("a pattern has at most {MOST_PATTERN} characters")
    } else {
        return;
    };
    found.push(Invalid::new("too_complex", message).at("/parameters"));
}

fn collect_patterns<'a>(schema: &'a Value, patterns: &mut Vec<&'a str>) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (&**name, value) {
                    ("pattern", Value::String(pattern)) => patterns.push(pattern),
                    ("patternProperties", Value::Object(by_pattern)) => {
                        patterns.extend(by_pattern.keys().map(String::as_str));
                    }
                    _ => {}
                }
                collect_patterns(value, patterns);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_patterns(item, patterns)),
        _ => {}
    }
}

/// Checks arguments; the violation, the first one that is found, points into them.
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
    // Versions that were written under other limits are bounded here as well.
    let parts = steps(&schema, &schema, &mut Vec::new(), 0);
    let parts = parts.map_err(|invalid| vec![invalid.at("")])?;
    let (nodes, text) = size(arguments);
    let mut patterns = Vec::new();
    collect_patterns(&schema, &mut patterns);
    let work = usize::try_from(parts)
        .unwrap_or(usize::MAX)
        .saturating_mul(nodes);
    if work > MOST_WORK || patterns.len() > MOST_PATTERNS || patterns.len() * text > MOST_MATCHING {
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
    let error = validator.validate(arguments).err();
    let error = error.map(|error| violation(&error, "", error.kind().keyword()));
    Err(error.into_iter().collect())
}

/// The nodes of a value and the bytes of its texts.
fn size(value: &Value) -> (usize, usize) {
    let sum = |sizes: &mut dyn Iterator<Item = (usize, usize)>| {
        sizes.fold((1, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
    };
    match value {
        Value::String(text) => (1, text.len()),
        Value::Array(items) => sum(&mut items.iter().map(size)),
        Value::Object(fields) => sum(&mut fields.iter().map(|(name, value)| {
            let (nodes, text) = size(value);
            (nodes, text + name.len())
        })),
        _ => (1, 0),
    }
}

/// Whether an error would carry those of every alternative.
fn has_alternatives(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| matches!(&**name, "anyOf" | "oneOf") || has_alternatives(value)),
        Value::Array(items) => items.iter().any(has_alternatives),
        _ => false,
    }
}

fn compile(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    jsonschema::draft202012::options()
        // Linear in the text, whatever the pattern.
        .with_pattern_options(PatternOptions::regex().size_limit(MOST_PATTERN_BYTES))
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
                // A property may have such a name; a keyword has a text or a schema.
                let is_keyword = text.is_some() || name.starts_with("unevaluated");
                if NO_PLACE.contains(&name.as_str()) && is_keyword {
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
/// double at every level get through, nor a chain of them that is deeper than a stack.
fn steps(root: &Value, at: &Value, path: &mut Vec<String>, level: usize) -> Result<u64, Invalid> {
    let too_complex = |what: String| {
        let message = format!("the schema has more than {what} once its references are followed");
        Invalid::new("too_complex", message)
    };
    if level > MOST_LEVELS {
        return Err(too_complex(format!("{MOST_LEVELS} levels")));
    }
    let mut count = 1_u64;
    let mut add = |more: u64| {
        count = count.saturating_add(more);
        match count > MOST_STEPS {
            true => Err(too_complex(format!("{MOST_STEPS} parts"))),
            false => Ok(()),
        }
    };
    match at {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(to) if name == "$ref" => add(follow(root, to, path, level)?)?,
                    // What nothing refers to costs nothing.
                    _ if name == "$defs" => {}
                    _ => add(steps(root, value, path, level + 1)?)?,
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                add(steps(root, item, path, level + 1)?)?;
            }
        }
        _ => {}
    }
    Ok(count)
}

fn follow(root: &Value, to: &str, path: &mut Vec<String>, level: usize) -> Result<u64, Invalid> {
    if path.iter().any(|step| step == to) || to == "#" {
        let message = format!("the reference `{to}` leads in a circle");
        return Err(Invalid::new("circular_reference", message));
    }
    let missing = || Invalid::new("dangling_reference", format!("there is nothing at `{to}`"));
    let target = root
        .pointer(to.trim_start_matches('#'))
        .ok_or_else(missing)?;
    path.push(to.to_owned());
    let count = steps(root, target, path, level + 1)?;
    path.pop();
    Ok(count)
}
