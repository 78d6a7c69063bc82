//! JSON Schema: what is wrong with a value, in codes and words of our own.

mod formats;
mod violations;

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use crate::invalid::{MOST_VIOLATIONS, Violation};

/// Compiles a schema of requests, with the formats of this domain.
pub fn compile(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    let options = jsonschema::draft202012::options()
        // This engine is linear in the length of the text.
        .with_pattern_options(PatternOptions::regex())
        .should_validate_formats(true)
        .offline();
    let options = formats::ALL.iter().fold(options, |options, (name, check)| {
        options.with_format(*name, |text| check(text).is_ok())
    });
    options.build(schema)
}

/// Returns the violations of a value, at most as many as a response may list.
pub fn violations(validator: &Validator, value: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    if validator.is_valid(value) {
        return found;
    }
    for error in validator.iter_errors(value) {
        violations::add(&mut found, &error);
        if found.len() >= MOST_VIOLATIONS {
            break;
        }
    }
    found
}

/// Returns the first violation of a value.
pub fn first_violation(validator: &Validator, value: &Value) -> Option<Violation> {
    let mut found = Vec::new();
    if let Err(error) = validator.validate(value) {
        violations::add(&mut found, &error);
    }
    found.into_iter().next()
}
