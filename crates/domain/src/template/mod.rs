//! The template language of prompts and tools: a small part of Jinja whose cost is bounded.
//!
//! - `{{ value }}` writes a value; `{% if %}`, `{% elif %}`, `{% else %}` and `{% endif %}` choose;
//!   `{% for item in list %}` with `{% else %}` and `{% endfor %}` repeats over given data, with
//!   `loop.index`, `loop.index0`, `loop.first`, `loop.last` and `loop.length`; `{% raw %}` to
//!   `{% endraw %}` is text. A `-` inside a tag's bracket removes the blanks beside it.
//! - Expressions are names, `.field`, `[index]`, literals, lists of literals, `| filter`, comparisons,
//!   `in`, `is defined`, `and`, `or`, `not` and parentheses. The filters are those of [`FILTERS`].
//! - Everything else is text, `{# … #}` too. There are no assignments, macros, functions or arithmetic,
//!   so a template cannot make more data than it is given.
//!
//! A template is checked for the length of its tags, their number and their depth while it is read,
//! and it is rendered under a [`Budget`].

mod bounds;
mod budget;
mod compare;
mod eval;
mod expression;
mod fault;
mod filters;
mod lexer;
mod names;
mod parser;
mod parts;
#[cfg(test)]
mod tests;
mod tokens;
mod tree;
mod value;

pub use bounds::{MAX_DEPTH, MAX_TAG, MAX_TAGS};
pub use budget::Budget;
pub use filters::{FILTERS, Filter};
pub use names::Lookup;
use serde_json::Value;
use tree::{Expr, Node};
pub use value::Data;

use crate::invalid::Invalid;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    nodes: Vec<Node>,
    lookups: Vec<Lookup>,
}

impl Template {
    /// Parses a template; the error is `invalid_template` with line and column.
    pub fn parse(source: &str) -> Result<Self, Invalid> {
        let (nodes, lookups) = parser::parse(source).map_err(|fault| fault.describe(source))?;
        Ok(Self { nodes, lookups })
    }

    /// The variables that it looks up in its data, in the order of the source.
    pub fn lookups(&self) -> &[Lookup] {
        &self.lookups
    }

    /// Renders the text, with each value written by `encode`.
    pub fn render(
        &self,
        data: &Data<'_>,
        budget: &mut Budget,
        encode: fn(&str, &mut String),
    ) -> Result<String, Invalid> {
        let mut out = String::new();
        eval::render(&self.nodes, data, budget, encode, &mut out)?;
        Ok(out)
    }

    /// The value of a template that is a single expression, with its type, and none if it is undefined; the
    /// rendered text otherwise.
    pub fn value(&self, data: &Data<'_>, budget: &mut Budget) -> Result<Option<Value>, Invalid> {
        match self.sole_expression() {
            Some(expression) => eval::value(expression, data, budget),
            None => Ok(Some(self.render(data, budget, plain)?.into())),
        }
    }

    fn sole_expression(&self) -> Option<&Expr> {
        let blank = |node: &&Node| !matches!(node, Node::Text(text) if text.trim().is_empty());
        let mut nodes = self.nodes.iter().filter(blank);
        match (nodes.next(), nodes.next()) {
            (Some(Node::Write(expression)), None) => Some(expression),
            _ => None,
        }
    }
}

/// Writes a value unchanged.
pub fn plain(text: &str, out: &mut String) {
    out.push_str(text);
}
