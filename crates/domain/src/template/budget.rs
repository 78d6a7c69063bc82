//! What rendering may cost.

use std::time::Instant;

use serde_json::Value;

use crate::invalid::Invalid;

/// How often the clock is looked at, in steps.
const LOOK: u32 = 256;

/// What is left of the work that one rendering may do. One budget serves all templates of one request,
/// so that many small ones cost no more than a large one.
#[derive(Clone, Debug)]
pub struct Budget {
    steps: u32,
    bytes: usize,
    nodes: u32,
    deadline: Option<Instant>,
}

impl Budget {
    /// 50,000 steps, 100,000 nodes of data and 2 MiB of text, finished before `deadline`.
    pub const fn until(deadline: Option<Instant>) -> Self {
        Self {
            steps: 50_000,
            bytes: 2 << 20,
            nodes: 100_000,
            deadline,
        }
    }

    /// Pays for one tag or one part of an expression.
    pub(super) fn step(&mut self) -> Result<(), Invalid> {
        self.steps = self.steps.checked_sub(1).ok_or_else(|| spent("steps"))?;
        let look = self.steps.is_multiple_of(LOOK);
        match self.deadline {
            Some(deadline) if look && Instant::now() >= deadline => Err(spent("time")),
            _ => Ok(()),
        }
    }

    /// Pays for text that is written, made or looked through.
    pub(super) fn text(&mut self, bytes: usize) -> Result<(), Invalid> {
        self.bytes = self
            .bytes
            .checked_sub(bytes)
            .ok_or_else(|| spent("bytes"))?;
        Ok(())
    }

    /// Pays for a value that is looked through as a whole.
    pub(super) fn value(&mut self, value: &Value) -> Result<(), Invalid> {
        self.nodes = self.nodes.checked_sub(1).ok_or_else(|| spent("nodes"))?;
        match value {
            Value::String(text) => self.text(text.len()),
            Value::Array(items) => items.iter().try_for_each(|item| self.value(item)),
            Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
                self.text(name.len())?;
                self.value(value)
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }
}

fn spent(what: &str) -> Invalid {
    let message = format!("the template takes more {what} than one rendering may");
    Invalid::new("render_too_costly", message)
}
