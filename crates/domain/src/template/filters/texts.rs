//! Filters for strings.

use std::borrow::Cow;

use serde_json::Value;

use super::applied::{Applied, some, text};
use crate::template::{
    budget::Budget,
    value::{Found, failed, written},
};

pub(super) fn capitalize<'a>(
    found: Found<'a>,
    _: &[Cow<'a, Value>],
    budget: &mut Budget,
) -> Applied<'a> {
    let text = text(&found, budget)?;
    let mut characters = text.chars();
    let head: String = characters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    some(head + &characters.as_str().to_lowercase())
}

pub(super) fn lower<'a>(
    found: Found<'a>,
    _: &[Cow<'a, Value>],
    budget: &mut Budget,
) -> Applied<'a> {
    some(text(&found, budget)?.to_lowercase())
}

pub(super) fn replace<'a>(
    found: Found<'a>,
    given: &[Cow<'a, Value>],
    budget: &mut Budget,
) -> Applied<'a> {
    let text = text(&found, budget)?;
    let [from, to] = given else {
        return Err(failed("the filter `replace` needs two texts"));
    };
    budget.value(from)?;
    budget.value(to)?;
    let (from, to) = (written(from), written(to));
    if from.is_empty() {
        return Err(failed("the filter `replace` needs a text to look for"));
    }
    // The output is charged before it is created.
    budget.text(text.matches(&*from).count().saturating_mul(to.len()))?;
    some(text.replace(&*from, &to))
}

pub(super) fn title<'a>(
    found: Found<'a>,
    _: &[Cow<'a, Value>],
    budget: &mut Budget,
) -> Applied<'a> {
    let text = text(&found, budget)?;
    let (mut titled, mut begins) = (String::with_capacity(text.len()), true);
    for c in text.chars() {
        match begins {
            true => titled.extend(c.to_uppercase()),
            false => titled.extend(c.to_lowercase()),
        }
        begins = !c.is_alphanumeric() && c != '\'';
    }
    some(titled)
}

pub(super) fn trim<'a>(found: Found<'a>, _: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
    some(text(&found, budget)?.trim())
}

pub(super) fn upper<'a>(
    found: Found<'a>,
    _: &[Cow<'a, Value>],
    budget: &mut Budget,
) -> Applied<'a> {
    some(text(&found, budget)?.to_uppercase())
}
