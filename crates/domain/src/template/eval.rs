//! Rendering: a walk over the tree that charges every step to the budget.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{
    budget::Budget,
    compare::{compare, is_true},
    tree::{Expr, Node, Repeat, Step},
    value::{Data, Found, failed, written},
};
use crate::invalid::Invalid;

type Rendered<T> = Result<T, Invalid>;

/// Appends the text of `nodes` to `out`.
pub(super) fn render(
    nodes: &[Node],
    data: &Data<'_>,
    budget: &mut Budget,
    encode: fn(&str, &mut String),
    out: &mut String,
) -> Rendered<()> {
    let mut rendering = Rendering {
        data,
        budget,
        names: Vec::new(),
    };
    rendering.nodes(nodes, encode, out)
}

/// The value of one expression.
pub(super) fn value(
    expression: &Expr,
    data: &Data<'_>,
    budget: &mut Budget,
) -> Rendered<Option<Value>> {
    let mut rendering = Rendering {
        data,
        budget,
        names: Vec::new(),
    };
    let Some(found) = rendering.expression(expression)? else {
        return Ok(None);
    };
    rendering.budget.value(&found)?;
    Ok(Some(found.into_owned()))
}

struct Rendering<'a, 'b> {
    data: &'a Data<'a>,
    budget: &'b mut Budget,
    /// The variables of the enclosing loops, the innermost last.
    names: Vec<(&'a str, Cow<'a, Value>)>,
}

impl<'a> Rendering<'a, '_> {
    fn nodes(
        &mut self,
        nodes: &'a [Node],
        encode: fn(&str, &mut String),
        out: &mut String,
    ) -> Rendered<()> {
        for node in nodes {
            self.budget.step()?;
            match node {
                Node::Text(text) => {
                    self.budget.text(text.len())?;
                    out.push_str(text);
                }
                Node::Write(expression) => {
                    let found = self.expression(expression)?;
                    let found = found.ok_or_else(|| failed("a value is missing"))?;
                    self.budget.value(&found)?;
                    let before = out.len();
                    encode(&written(&found), out);
                    self.budget.text(out.len() - before)?;
                }
                Node::Choose(branches, otherwise) => {
                    let mut chosen = otherwise;
                    for (condition, body) in branches {
                        if is_true(&self.expression(condition)?) {
                            chosen = body;
                            break;
                        }
                    }
                    self.nodes(chosen, encode, out)?;
                }
                Node::Repeat(repeat) => self.repeat(repeat, encode, out)?,
            }
        }
        Ok(())
    }

    fn repeat(
        &mut self,
        repeat: &'a Repeat,
        encode: fn(&str, &mut String),
        out: &mut String,
    ) -> Rendered<()> {
        let over = self.expression(&repeat.over)?;
        let over = over.ok_or_else(|| failed("the list of a loop is missing"))?;
        // Only data and literals can be lists, and both are borrowed.
        let Cow::Borrowed(over) = over else {
            return Err(failed("only a list or an object can be repeated over"));
        };
        let length = match over {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => return Err(failed("only a list or an object can be repeated over")),
        };
        if length == 0 {
            return self.nodes(&repeat.otherwise, encode, out);
        }
        let outer = self.names.len();
        let entries = entries(over);
        for (index, (key, value)) in entries.enumerate() {
            self.budget.step()?;
            self.names.push(("loop", Cow::Owned(place(index, length))));
            let (first, second) = &repeat.names;
            match (second, key) {
                (Some(second), Some(key)) => {
                    self.names.push((first, Cow::Owned(key.into())));
                    self.names.push((second, Cow::Borrowed(value)));
                }
                (Some(_), None) => return Err(failed("two names of a loop need an object")),
                (None, Some(key)) => self.names.push((first, Cow::Owned(key.into()))),
                (None, None) => self.names.push((first, Cow::Borrowed(value))),
            }
            self.nodes(&repeat.body, encode, out)?;
            self.names.truncate(outer);
        }
        Ok(())
    }

    fn expression(&mut self, expression: &'a Expr) -> Rendered<Found<'a>> {
        self.budget.step()?;
        let truth = |truth: bool| Ok(Some(Cow::Owned(Value::Bool(truth))));
        match expression {
            Expr::Literal(value) => Ok(Some(Cow::Borrowed(value))),
            Expr::Name(name) => self.name(name),
            Expr::Steps(base, steps) => self.steps(base, steps),
            Expr::Compare(left, how, right) => {
                let (left, right) = (self.expression(left)?, self.expression(right)?);
                truth(compare(&left, *how, &right, self.budget)?)
            }
            Expr::IsDefined(inner, wanted) => truth(self.expression(inner)?.is_some() == *wanted),
            Expr::IsNone(inner, wanted) => {
                let found = self.expression(inner)?;
                truth(found.is_some_and(|value| value.is_null()) == *wanted)
            }
            Expr::Not(inner) => truth(!is_true(&self.expression(inner)?)),
            // As in Jinja, `and` and `or` return the deciding operand: `{{ name or "you" }}`.
            Expr::All(parts) => self.deciding(parts, false),
            Expr::Any(parts) => self.deciding(parts, true),
        }
    }

    /// The first operand whose truth is `wanted`, or the last one.
    fn deciding(&mut self, parts: &'a [Expr], wanted: bool) -> Rendered<Found<'a>> {
        let mut found = None;
        for part in parts {
            found = self.expression(part)?;
            if is_true(&found) == wanted {
                break;
            }
        }
        Ok(found)
    }

    fn name(&mut self, name: &str) -> Rendered<Found<'a>> {
        let local = self.names.iter().rev().find(|(local, _)| *local == name);
        if let Some((_, value)) = local {
            if let Cow::Owned(copied) = value {
                self.budget.value(copied)?;
            }
            return Ok(Some(value.clone()));
        }
        Ok(self.data.get(name).map(|value| Cow::Borrowed(*value)))
    }

    fn steps(&mut self, base: &'a Expr, steps: &'a [Step]) -> Rendered<Found<'a>> {
        let mut found = self.expression(base)?;
        for step in steps {
            self.budget.step()?;
            found = match step {
                Step::Field(name) => field(found, name)?,
                Step::Index(index) => {
                    let index = self.expression(index)?;
                    let index = index.ok_or_else(|| failed("an index is missing"))?;
                    match &*index {
                        Value::String(name) => field(found, name)?,
                        Value::Number(number) => item(found, number.as_i64())?,
                        _ => return Err(failed("an index is a number or the name of a field")),
                    }
                }
                Step::Filter(filter, arguments) => {
                    let mut given = Vec::with_capacity(arguments.len());
                    for argument in arguments {
                        let argument = self.expression(argument)?;
                        given.push(
                            argument.ok_or_else(|| failed("a value of a filter is missing"))?,
                        );
                    }
                    (filter.apply)(found, &given, self.budget)?
                }
            };
        }
        Ok(found)
    }
}

/// Keys, if there are any, and values.
fn entries(over: &Value) -> Box<dyn Iterator<Item = (Option<&str>, &Value)> + '_> {
    match over {
        Value::Array(items) => Box::new(items.iter().map(|item| (None, item))),
        Value::Object(fields) => Box::new(fields.iter().map(|(key, value)| (Some(&**key), value))),
        _ => Box::new(std::iter::empty()),
    }
}

/// The variable `loop`.
fn place(index: usize, length: usize) -> Value {
    let mut place = Map::new();
    place.insert("index".to_owned(), (index + 1).into());
    place.insert("index0".to_owned(), index.into());
    place.insert("first".to_owned(), (index == 0).into());
    place.insert("last".to_owned(), (index + 1 == length).into());
    place.insert("length".to_owned(), length.into());
    Value::Object(place)
}

fn field<'a>(found: Found<'a>, name: &str) -> Rendered<Found<'a>> {
    match found.ok_or_else(|| failed("a value is missing"))? {
        Cow::Borrowed(Value::Object(fields)) => Ok(fields.get(name).map(Cow::Borrowed)),
        Cow::Owned(Value::Object(mut fields)) => Ok(fields.remove(name).map(Cow::Owned)),
        _ => Ok(None),
    }
}

fn item<'a>(found: Found<'a>, index: Option<i64>) -> Rendered<Found<'a>> {
    let found = found.ok_or_else(|| failed("a value is missing"))?;
    let (Cow::Borrowed(Value::Array(items)), Some(index)) = (found, index) else {
        return Ok(None);
    };
    let from_end = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
    let at = match index < 0 {
        true => items.len().checked_sub(from_end),
        false => Some(from_end),
    };
    Ok(at.and_then(|at| items.get(at)).map(Cow::Borrowed))
}
