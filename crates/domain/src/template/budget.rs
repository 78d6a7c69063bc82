//! The budget of a rendering.

use std::time::Instant;

use serde_json::Value;

use crate::invalid::Invalid;

/// Steps between two checks of the clock.
const CLOCK_INTERVAL: u32 = 256;

/// The work that a rendering may still do. All templates of one request share a budget, so that many small ones
/// cost no more than a large one.
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

    /// Charges one tag or one part of an expression.
    pub(super) fn step(&mut self) -> Result<(), Invalid> {
        self.steps = self.steps.checked_sub(1).ok_or_else(|| spent("steps"))?;
        let look = self.steps.is_multiple_of(CLOCK_INTERVAL);
        match self.deadline {
            Some(deadline) if look && Instant::now() >= deadline => Err(spent("time")),
            _ => Ok(()),
        }
    }

    /// Charges text that is written, created or searched.
    pub(super) fn text(&mut self, bytes: usize) -> Result<(), Invalid> {
        self.bytes = self
            .bytes
            .checked_sub(bytes)
            .ok_or_else(|| spent("bytes"))?;
        Ok(())
    }

    /// Charges a value that is traversed as a whole.
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
