//! The cost of validating a value.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    compile::compile_within,
    patterns::{MOST_PATTERNS, collect_patterns},
};
use crate::invalid::Invalid;

/// Maximum subschemas with every reference followed: the cost of one value.
const MOST_STEPS: u64 = 5_000;
/// Maximum depth of a schema with every reference followed.
const MOST_LEVELS: usize = 64;
/// A pattern of at most this compiled size costs one unit for each byte of text that it is applied to; a larger
/// one costs [`LARGE`].
const SMALL_PATTERN_BYTES: usize = 8_192;
/// Cost of a pattern whose compiled size is above [`SMALL_PATTERN_BYTES`].
const LARGE: u64 = 8;
/// Maximum units of all patterns together.
const MOST_APPLIED: u64 = MOST_PATTERNS as u64 * LARGE;

/// The cost of a schema with every reference followed: rejects circular references, references that double at
/// every level, and chains that would overflow the stack.
pub(super) struct Cost {
    /// Subschemas that are visited.
    pub parts: u64,
    /// Units of patterns for each byte of text.
    pub matching: u64,
}

/// The traversal that counts.
struct Walk<'a> {
    root: &'a Value,
    /// The cost of each pattern.
    patterns: HashMap<&'a str, u64>,
    /// The references on the path to the current subschema.
    path: Vec<&'a str>,
    cost: Cost,
}

impl Cost {
    pub fn of(schema: &Value) -> Result<Self, Invalid> {
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
        // Each application is compiled separately.
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
            // An unreferenced `$defs` costs nothing. Deeper in the schema the word may be the name of a property.
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
