//! The patterns of a schema, checked before any is compiled.

use serde_json::Value;

use crate::invalid::{Invalid, Violation};

/// Maximum number of patterns of a schema.
pub(super) const MOST_PATTERNS: usize = 50;
/// Maximum characters of a pattern.
const MOST_PATTERN: usize = 500;

/// Limits number and length of patterns.
pub(super) fn check_patterns(schema: &Value, found: &mut Vec<Violation>) {
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

/// Every pattern of a schema.
pub(super) fn collect_patterns<'a>(schema: &'a Value, patterns: &mut Vec<&'a str>) {
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
