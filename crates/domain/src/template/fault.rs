//! Errors of a template.

use crate::invalid::Invalid;

/// An error and its byte offset in the source.
#[derive(Debug)]
pub(super) struct Fault {
    pub at: usize,
    pub message: String,
}

impl Fault {
    pub fn new(at: usize, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { at, message }
    }

    /// The error with line and column, both from 1.
    pub fn describe(self, source: &str) -> Invalid {
        let before = source.get(..self.at).unwrap_or(source);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let message = format!("{} (line {line}, column {column})", self.message);
        Invalid::new("invalid_template", message)
    }
}
