//! Compiles schemas to validators.

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

/// Maximum bytes of a compiled pattern: a bounded repetition of a large class can become large.
const MOST_PATTERN_BYTES: usize = 65_536;

/// Compiles a schema.
pub(super) fn compile(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    compile_within(schema, MOST_PATTERN_BYTES)
}

/// The same with a limit for the size of each compiled pattern.
pub(super) fn compile_within(
    schema: &Value,
    pattern_bytes: usize,
) -> Result<Validator, ValidationError<'static>> {
    jsonschema::draft202012::options()
        // This engine is linear in the length of the text, whatever the pattern.
        .with_pattern_options(PatternOptions::regex().size_limit(pattern_bytes))
        .offline()
        .build(schema)
}
