//! Codes and messages of violations.

use jsonschema::{
    JsonType, ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde_json::Value;

use super::formats;
use crate::invalid::{Invalid, Violation, escape};

/// Adds the violations that an error consists of.
pub(super) fn add(found: &mut Vec<Violation>, error: &ValidationError<'_>) {
    let at = error.instance_path().to_string();
    match error.kind() {
        Kind::Required { property } => {
            found.push(missing_field(&at, property.as_str().unwrap_or_default()));
        }
        Kind::AdditionalProperties { unexpected } => {
            found.extend(unexpected.iter().map(|name| unknown_field(&at, name)));
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => match nearest(context, &at) {
            Some(branch) => branch.iter().for_each(|error| add(found, error)),
            None => add_alternatives(found, context, &at),
        },
        kind => {
            let violation = explain(kind, error.instance()).at(at);
            // One for each value: a format, which the domain explains, says more than a length.
            match found
                .iter_mut()
                .find(|known| known.pointer == violation.pointer)
            {
                Some(known) if matches!(kind, Kind::Format { .. }) => *known = violation,
                Some(_) => {}
                None => found.push(violation),
            }
        }
    }
}

fn explain(kind: &Kind, instance: &Value) -> Invalid {
    match kind {
        Kind::Type { kind } => Invalid::new("invalid_type", format!("{} is needed", types(kind))),
        Kind::Enum { options } => {
            let options = options.as_array().into_iter().flatten();
            Invalid::new("invalid_value", format!("{} is needed", one_of(options)))
        }
        Kind::Constant { expected_value } => Invalid::new(
            "invalid_value",
            format!("{} is needed", quoted(expected_value)),
        ),
        Kind::MinLength { limit } => Invalid::new(
            "too_short",
            format!("at least {limit} characters are needed"),
        ),
        Kind::MaxLength { limit } => Invalid::new(
            "too_long",
            format!("at most {limit} characters are allowed"),
        ),
        Kind::MinItems { limit } | Kind::MinProperties { limit } => {
            Invalid::new("too_few", format!("at least {limit} are needed"))
        }
        Kind::MaxItems { limit } | Kind::MaxProperties { limit } => {
            Invalid::new("too_many", format!("at most {limit} are allowed"))
        }
        Kind::Minimum { limit } => {
            Invalid::new("out_of_range", format!("at least {limit} is needed"))
        }
        Kind::Maximum { limit } => {
            Invalid::new("out_of_range", format!("at most {limit} is allowed"))
        }
        Kind::Format { format } => formats::explain(format, instance.as_str().unwrap_or_default()),
        Kind::Pattern { pattern } => formats::explain_pattern(pattern),
        _ => Invalid::new("invalid_value", "the value is not valid"),
    }
}

/// Finds the alternative that was meant: the one whose words (such as the kind of a spec) and whose type fit.
fn nearest<'a>(context: &'a Alternatives, at: &str) -> Option<&'a Vec<ValidationError<'static>>> {
    let is_other = |error: &ValidationError<'_>| match error.kind() {
        Kind::Type { .. } => error.instance_path().as_str() == at,
        Kind::Enum { .. } | Kind::Constant { .. } => {
            let below = error.instance_path().as_str().strip_prefix(at);
            below.is_some_and(|below| below.matches('/').count() <= 1)
        }
        _ => false,
    };
    let mut meant = context.iter().filter(|errors| !errors.iter().any(is_other));
    match (meant.next(), meant.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

/// The errors of each alternative.
type Alternatives = [Vec<ValidationError<'static>>];

/// Adds what is wrong if no alternative was meant: fields that none of them knows, and what decides between them.
fn add_alternatives(found: &mut Vec<Violation>, context: &Alternatives, at: &str) {
    let unknown = context.iter().map(|errors| unexpected(errors, at));
    let unknown =
        unknown.reduce(|all, more| all.into_iter().filter(|name| more.contains(name)).collect());
    found.extend(
        unknown
            .unwrap_or_default()
            .into_iter()
            .map(|name| unknown_field(at, name)),
    );
    let deciding = missing_word(context, at);
    let deciding = deciding.or_else(|| wrong_word(context));
    found.push(deciding.unwrap_or_else(|| wrong_type(context, at)));
}

/// The fields at this place that an alternative does not know.
fn unexpected<'a>(errors: &'a [ValidationError<'static>], at: &str) -> Vec<&'a String> {
    let here = errors
        .iter()
        .filter(|error| error.instance_path().as_str() == at);
    let names = here.filter_map(|error| match error.kind() {
        Kind::AdditionalProperties { unexpected } => Some(unexpected),
        _ => None,
    });
    names.flatten().collect()
}

/// A field that every alternative requires.
fn missing_word(context: &Alternatives, at: &str) -> Option<Violation> {
    let missing = |errors: &Vec<ValidationError<'static>>| {
        let here = errors
            .iter()
            .filter(|error| error.instance_path().as_str() == at);
        let names = here.filter_map(|error| match error.kind() {
            Kind::Required { property } => property.as_str().map(str::to_owned),
            _ => None,
        });
        names.collect::<Vec<_>>()
    };
    let (first, rest) = context.split_first()?;
    let mut first = missing(first).into_iter();
    let name = first.find(|name| rest.iter().all(|errors| missing(errors).contains(name)))?;
    Some(missing_field(at, &name))
}

/// A word that selects no alternative.
fn wrong_word(context: &Alternatives) -> Option<Violation> {
    let mut words = Vec::new();
    let mut at = None;
    for error in context.iter().flatten() {
        match error.kind() {
            Kind::Enum { options } => words.extend(options.as_array().into_iter().flatten()),
            Kind::Constant { expected_value } => words.push(expected_value),
            _ => continue,
        }
        at = Some(error.instance_path().to_string());
    }
    let invalid = Invalid::new("invalid_value", format!("{} is needed", one_of(words)));
    Some(invalid.at(at?))
}

/// A value of a type that no alternative has, or that matches none for other reasons.
fn wrong_type(context: &Alternatives, at: &str) -> Violation {
    let kinds = context
        .iter()
        .flatten()
        .filter_map(|error| match error.kind() {
            Kind::Type { kind } => Some(types(kind)).filter(|types| types != "null"),
            _ => None,
        });
    let kinds: Vec<_> = kinds.collect();
    let invalid = match kinds.is_empty() {
        true => Invalid::new(
            "no_alternative",
            "the value matches none of the alternatives",
        ),
        false => Invalid::new("invalid_type", format!("{} is needed", kinds.join(" or "))),
    };
    invalid.at(at)
}

fn missing_field(at: &str, name: &str) -> Violation {
    let invalid = Invalid::new("missing_field", "the field is required");
    invalid.at(format!("{at}/{}", escape(name)))
}

fn unknown_field(at: &str, name: &str) -> Violation {
    let invalid = Invalid::new("unknown_field", "the field is not known here");
    invalid.at(format!("{at}/{}", escape(name)))
}

/// The types in words. That null is one of them, which clears a field, is no help to who sends another value.
fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => name(*one).to_owned(),
        TypeKind::Multiple(all) => {
            let all = all.iter().filter(|kind| *kind != JsonType::Null);
            all.map(name).collect::<Vec<_>>().join(" or ")
        }
    }
}

const fn name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "an array",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a string",
    }
}

fn one_of<'a>(options: impl IntoIterator<Item = &'a Value>) -> String {
    let options: Vec<_> = options.into_iter().map(quoted).collect();
    match options.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => options.concat(),
    }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::String(word) => format!("`{word}`"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn violations(schema: &Value, value: &Value) -> Vec<(String, String)> {
        let validator = crate::json_schema::compile(schema).unwrap();
        let mut found = Vec::new();
        validator
            .iter_errors(value)
            .for_each(|error| add(&mut found, &error));
        found.into_iter().map(|v| (v.pointer, v.message)).collect()
    }

    #[test]
    fn every_mistake_is_named() {
        let schema = json!({
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": {
                "name": { "type": "string", "minLength": 1 },
                "size": { "type": ["integer", "null"], "maximum": 5 },
                "id": { "type": "string", "format": "uuid" },
                "tags": { "type": "array", "maxItems": 1, "items": { "enum": ["a", "b", "c"] } },
            },
        });
        let mut found = violations(
            &schema,
            &json!({ "size": 6, "id": "x", "tags": ["a", "d"], "a/b": 1, "c": 2 }),
        );
        found.sort();
        let pointers: Vec<_> = found.iter().map(|(pointer, _)| &**pointer).collect();
        assert_eq!(
            pointers,
            ["/a~1b", "/c", "/id", "/name", "/size", "/tags", "/tags/1"]
        );
        assert_eq!(found[6].1, "`a`, `b` or `c` is needed");
        assert_eq!(
            violations(&schema, &json!({ "name": "", "size": "1" }))[1].1,
            "a whole number is needed"
        );
    }

    #[test]
    fn the_alternative_that_was_meant_is_explained() {
        let variant = |kind: &str, field: &str| {
            json!({
                "type": "object", "required": ["kind", field], "additionalProperties": false,
                "properties": { "kind": { "type": "string", "enum": [kind] }, field: { "type": "integer" } },
            })
        };
        let schema = json!({ "oneOf": [variant("circle", "radius"), variant("square", "side")] });
        let first = |value: Value| violations(&schema, &value).swap_remove(0).0;
        assert_eq!(
            first(json!({ "kind": "circle", "side": 1, "radius": 2 })),
            "/side"
        );
        assert_eq!(first(json!({ "kind": "square", "side": "1" })), "/side");
        assert_eq!(first(json!({ "side": 1 })), "/kind");
        assert_eq!(first(json!({ "angle": 1, "kind": "oval" })), "/angle");
        let (at, message) = violations(&schema, &json!({ "kind": "oval" })).swap_remove(0);
        assert_eq!(
            (&*at, &*message),
            ("/kind", "`circle` or `square` is needed")
        );
        let nullable = json!({ "oneOf": [variant("circle", "radius"), { "type": "null" }] });
        let wrong = violations(&nullable, &json!({ "kind": "circle" }));
        assert_eq!(wrong[0].0, "/radius");
        assert_eq!(violations(&nullable, &json!(1))[0].1, "an object is needed");
    }
}
