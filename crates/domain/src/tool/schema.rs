//! The JSON Schema of a tool's parameters: checked when it is written, so that it can neither reach
//! out of itself nor cost more than a fixed amount of work, whatever arguments it meets.

use std::collections::HashMap;

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value, json};

use crate::invalid::{Invalid, MOST_VIOLATIONS, Place, Violation};

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
const MOST_WORK: u64 = 500_000;
/// The same where alternatives are told apart for the sake of an error, which takes memory for each.
const MOST_WORK_EXPLAINED: u64 = 20_000;
/// A pattern that compiles to so many bytes costs one unit for each byte of text that it is applied to; a
/// larger one costs [`LARGE`].
const SMALL_PATTERN_BYTES: usize = 8_192;
/// What a pattern costs that compiles to more than [`SMALL_PATTERN_BYTES`].
const LARGE: u64 = 8;
/// Most units of all patterns where they are applied.
const MOST_APPLIED: u64 = MOST_PATTERNS as u64 * LARGE;
/// Most units that matching patterns may cost.
const MOST_MATCHING: u64 = 500_000;
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
    let error = validator.validate(arguments).err();
    let error = error.map(|error| violation(&error, "", error.kind().keyword()));
    Err(error.into_iter().collect())
}

/// The nodes of a value and the bytes of its texts.
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
    compile_within(schema, MOST_PATTERN_BYTES)
}

fn compile_within(
    schema: &Value,
    pattern_bytes: usize,
) -> Result<Validator, ValidationError<'static>> {
    jsonschema::draft202012::options()
        // Linear in the text, whatever the pattern.
        .with_pattern_options(PatternOptions::regex().size_limit(pattern_bytes))
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

/// Refuses words that would have a schema mean something else than its text says.
fn check_words(schema: &Value, at: &mut Place, is_root: bool, found: &mut Vec<Violation>) {
    if found.len() >= MOST_VIOLATIONS {
        return;
    }
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                at.field(name, |at| {
                    if let Some(invalid) = check_word(name, value, is_root) {
                        found.push(invalid.at(&*at));
                    }
                    check_words(value, at, false, found);
                });
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                at.item(index, |at| check_words(item, at, false, found));
            }
        }
        _ => {}
    }
}

fn check_word(name: &str, value: &Value, is_root: bool) -> Option<Invalid> {
    let text = value.as_str();
    // A property may have such a name; a keyword has a text or a schema.
    let is_keyword = text.is_some() || name.starts_with("unevaluated");
    // Another dialect would bring its own words for places.
    let is_inner_dialect = name == "$schema" && text.is_some() && !is_root;
    if NO_PLACE.contains(&name) && is_keyword || is_inner_dialect {
        let message = format!("`{name}` has no place in a tool's parameters");
        return Some(Invalid::new("not_supported", message));
    }
    let to = text.filter(|_| name == "$ref")?;
    if to != "#" && !to.starts_with("#/") {
        let message = "references stay within the schema: `#/…`";
        return Some(Invalid::new("remote_reference", message));
    }
    // It would be decoded, and lead where nobody has counted.
    to.contains('%').then(|| {
        let message = "a reference is not percent-encoded";
        Invalid::new("not_supported", message)
    })
}

/// What a schema costs one value, with every reference followed: neither circles nor references that double at
/// every level get through, nor a chain of them that is deeper than a stack.
struct Cost {
    /// Subschemas that are looked at.
    parts: u64,
    /// Units of patterns that are applied to each byte of text.
    matching: u64,
}

/// A walk that counts.
struct Walk<'a> {
    root: &'a Value,
    /// What each pattern costs.
    patterns: HashMap<&'a str, u64>,
    /// The references that lead to where it is.
    path: Vec<&'a str>,
    cost: Cost,
}

impl Cost {
    fn of(schema: &Value) -> Result<Self, Invalid> {
        let mut patterns = Vec::new();
        collect_patterns(schema, &mut patterns);
        let weigh = |pattern| {
            let small = compile_within(&json!({ "pattern": pattern }), SMALL_PATTERN_BYTES);
            (pattern, if small.is_ok() { 1 } else { LARGE })
        };
        let mut walk = Walk {
            root: schema,
            patterns: patterns.into_iter().map(weigh).collect(),
            path: Vec::new(),
            cost: Self {
                parts: 0,
                matching: 0,
            },
        };
        walk.through(schema, 0)?;
        // Each application is compiled for itself.
        if walk.cost.matching > MOST_APPLIED {
            let message = "the patterns are too many or too large once references are followed";
            return Err(Invalid::new("too_complex", message));
        }
        Ok(walk.cost)
    }
}

impl<'a> Walk<'a> {
    fn through(&mut self, at: &'a Value, level: usize) -> Result<(), Invalid> {
        let too_complex = |what: String| {
            let message =
                format!("the schema has more than {what} once its references are followed");
            Err(Invalid::new("too_complex", message))
        };
        if level > MOST_LEVELS {
            return too_complex(format!("{MOST_LEVELS} levels"));
        }
        self.cost.parts += 1;
        if self.cost.parts > MOST_STEPS {
            return too_complex(format!("{MOST_STEPS} parts"));
        }
        match at {
            Value::Object(fields) => fields
                .iter()
                .try_for_each(|(name, value)| self.field(name, value, level)),
            Value::Array(items) => {
                let mut items = items.iter();
                items.try_for_each(|item| self.through(item, level + 1))
            }
            _ => Ok(()),
        }
    }

    fn field(&mut self, name: &str, value: &'a Value, level: usize) -> Result<(), Invalid> {
        match (name, value) {
            ("$ref", Value::String(to)) => return self.follow(to, level),
            // What nothing refers to costs nothing. Further down, it may be the name of a property.
            ("$defs", _) if level == 0 => return Ok(()),
            ("pattern", Value::String(pattern)) => self.apply(pattern),
            ("patternProperties", Value::Object(by_pattern)) => {
                by_pattern.keys().for_each(|pattern| self.apply(pattern));
            }
            _ => {}
        }
        self.through(value, level + 1)
    }

    fn apply(&mut self, pattern: &str) {
        let units = self.patterns.get(pattern).copied().unwrap_or(LARGE);
        self.cost.matching = self.cost.matching.saturating_add(units);
    }

    fn follow(&mut self, to: &'a str, level: usize) -> Result<(), Invalid> {
        if self.path.contains(&to) || to == "#" {
            let message = format!("the reference `{to}` leads in a circle");
            return Err(Invalid::new("circular_reference", message));
        }
        let target = self.root.pointer(to.trim_start_matches('#'));
        let missing = || Invalid::new("dangling_reference", format!("there is nothing at `{to}`"));
        self.path.push(to);
        self.through(target.ok_or_else(missing)?, level + 1)?;
        self.path.pop();
        Ok(())
    }
}
