//! What it costs to check a value.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    compile::compile_within,
    patterns::{MOST_PATTERNS, collect_patterns},
};
use crate::invalid::Invalid;

/// Most subschemas once every reference is followed: what one value can cost.
const MOST_STEPS: u64 = 5_000;
/// Most levels of a schema once every reference is followed.
const MOST_LEVELS: usize = 64;
/// A pattern that compiles to so many bytes costs one unit for each byte of text that it is applied to; a
/// larger one costs [`LARGE`].
const SMALL_PATTERN_BYTES: usize = 8_192;
/// What a pattern costs that compiles to more than [`SMALL_PATTERN_BYTES`].
const LARGE: u64 = 8;
/// Most units of all patterns where they are applied.
const MOST_APPLIED: u64 = MOST_PATTERNS as u64 * LARGE;

/// What a schema costs one value, with every reference followed: neither circles nor references that double at
/// every level get through, nor a chain of them that is deeper than a stack.
pub(super) struct Cost {
    /// Subschemas that are looked at.
    pub parts: u64,
    /// Units of patterns that are applied to each byte of text.
    pub matching: u64,
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
