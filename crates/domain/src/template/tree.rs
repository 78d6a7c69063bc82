//! The syntax tree of a template.

use serde_json::Value;

use super::filters::Filter;

/// A part of a template that is rendered.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Write(Expr),
    /// The branches of an `if` with their conditions, and the `else`.
    Choose(Vec<(Expr, Vec<Node>)>, Vec<Node>),
    Repeat(Box<Repeat>),
}

/// A `for`.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    /// The name of the item, or those of key and value.
    pub names: (String, Option<String>),
    pub over: Expr,
    pub body: Vec<Node>,
    pub otherwise: Vec<Node>,
}

/// An expression.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Literal(Value),
    Name(String),
    /// A value and the steps that are applied to it, from left to right.
    Steps(Box<Self>, Vec<Step>),
    Compare(Box<Self>, Compare, Box<Self>),
    IsDefined(Box<Self>, bool),
    IsNone(Box<Self>, bool),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// A field, an index or a filter.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Field(String),
    Index(Expr),
    Filter(&'static Filter, Vec<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}
