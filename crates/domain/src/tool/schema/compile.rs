//! From a schema to what checks values.

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

/// Most bytes of a compiled pattern: what a bounded repetition of a large class may come to.
const MOST_PATTERN_BYTES: usize = 65_536;

/// A schema as what checks values.
pub(super) fn compile(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    compile_within(schema, MOST_PATTERN_BYTES)
}

/// The same, where no pattern comes to more than so many bytes.
pub(super) fn compile_within(
    schema: &Value,
    pattern_bytes: usize,
) -> Result<Validator, ValidationError<'static>> {
    jsonschema::draft202012::options()
        // Linear in the text, whatever the pattern.
        .with_pattern_options(PatternOptions::regex().size_limit(pattern_bytes))
        .offline()
        .build(schema)
}
