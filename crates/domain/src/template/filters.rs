//! The filters of the template language.

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::{
    budget::Budget,
    value::{Found, failed, written},
};
use crate::invalid::Invalid;

type Applied<'a> = Result<Found<'a>, Invalid>;
type Apply = for<'a> fn(Found<'a>, &[Cow<'a, Value>], &mut Budget) -> Applied<'a>;

/// A filter: `{{ value | name(arguments) }}`.
#[derive(Debug)]
pub struct Filter {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a few words.
    pub meaning: &'static str,
    /// How many values it takes in brackets, at least and at most.
    pub arguments: (usize, usize),
    pub(super) apply: Apply,
}

/// All filters there are, by name.
pub const FILTERS: &[Filter] = &[
    filter("abs", "The number without its sign", (0, 0), abs),
    filter(
        "capitalize",
        "The first letter large, the others small",
        (0, 0),
        capitalize,
    ),
    filter(
        "default",
        "The value in brackets where this one is missing or null",
        (1, 1),
        default,
    ),
    filter(
        "first",
        "The first item of a list or character of a text",
        (0, 0),
        first,
    ),
    filter(
        "int",
        "The number without its fraction, or the text as a whole number",
        (0, 0),
        int,
    ),
    filter(
        "join",
        "The items of a list as one text, with the text in brackets between them",
        (0, 1),
        join,
    ),
    filter(
        "last",
        "The last item of a list or character of a text",
        (0, 0),
        last,
    ),
    filter(
        "length",
        "How many items, fields or characters there are",
        (0, 0),
        length,
    ),
    filter("lower", "All letters small", (0, 0), lower),
    filter(
        "replace",
        "The text with its first text in brackets replaced by the second",
        (2, 2),
        replace,
    ),
    filter(
        "round",
        "The number rounded to so many digits, 0 by default",
        (0, 1),
        round,
    ),
    filter(
        "title",
        "The first letter of each word large, the others small",
        (0, 0),
        title,
    ),
    filter("trim", "The text without blanks around it", (0, 0), trim),
    filter("upper", "All letters large", (0, 0), upper),
];

const fn filter(
    name: &'static str,
    meaning: &'static str,
    arguments: (usize, usize),
    apply: Apply,
) -> Filter {
    Filter {
        name,
        meaning,
        arguments,
        apply,
    }
}

/// The filter of this name, or words that say which there are.
pub(super) fn find(name: &str) -> Result<&'static Filter, String> {
    FILTERS
        .iter()
        .find(|filter| filter.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = FILTERS.iter().map(|filter| filter.name).collect();
            format!(
                "there is no filter `{name}`; there are {}",
                names.join(", ")
            )
        })
}

fn text<'a>(found: &'a Found<'_>, budget: &mut Budget) -> Result<Cow<'a, str>, Invalid> {
    match found.as_deref() {
        Some(value @ (Value::Array(_) | Value::Object(_))) => {
            budget.value(value)?;
            Err(failed("this filter needs a text"))
        }
        Some(value) => {
            let text = written(value);
            budget.text(text.len())?;
            Ok(text)
        }
        None => Err(failed("a value is missing")),
    }
}

fn number(found: &Found<'_>) -> Result<f64, Invalid> {
    let number = found.as_deref().and_then(Value::as_f64);
    number.ok_or_else(|| failed("this filter needs a number"))
}

fn some<'a>(value: impl Into<Value>) -> Applied<'a> {
    Ok(Some(Cow::Owned(value.into())))
}

/// A whole number where it is one.
fn some_number<'a>(number: f64) -> Applied<'a> {
    let whole = number.fract() == 0.0 && number.abs() < 9e15;
    let value = match whole {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        true => Number::from(number as i64),
        false => Number::from_f64(number).ok_or_else(|| failed("this is no number"))?,
    };
    some(value)
}

/// The number, where it is a whole one: its digits are kept, however many there are.
fn is_whole(found: &Found<'_>) -> bool {
    matches!(found.as_deref(), Some(Value::Number(number)) if !number.is_f64())
}

fn abs<'a>(found: Found<'a>, _: &[Cow<'a, Value>], _: &mut Budget) -> Applied<'a> {
    match found.as_deref().and_then(Value::as_i64) {
        Some(number) => some(number.unsigned_abs()),
        None if is_whole(&found) => Ok(found),
        None => some_number(number(&found)?.abs()),
    }
}

fn capitalize<'a>(found: Found<'a>, _: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
    let text = text(&found, budget)?;
    let mut characters = text.chars();
    let head: String = characters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    some(head + &characters.as_str().to_lowercase())
}

fn default<'a>(found: Found<'a>, given: &[Cow<'a, Value>], _: &mut Budget) -> Applied<'a> {
    match found {
        Some(value) if !value.is_null() => Ok(Some(value)),
        _ => Ok(given.first().cloned()),
    }
}

fn first<'a>(found: Found<'a>, _: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
    match found {
        Some(Cow::Borrowed(Value::Array(items))) => Ok(items.first().map(Cow::Borrowed)),
        found => some(
            text(&found, budget)?
                .chars()
                .next()
                .map_or_else(String::new, String::from),
        ),
    }
}

fn int<'a>(found: Found<'a>, _: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
    match found.as_deref() {
        _ if is_whole(&found) => Ok(found),
        Some(Value::Number(number)) => some_number(number.as_f64().unwrap_or_default().trunc()),
        Some(Value::Bool(truth)) => some(i64::from(*truth)),
        _ => {
            let text = text(&found, budget)?;
            match (text.trim().parse::<i64>(), text.trim().parse::<f64>()) {
                (Ok(whole), _) => some(whole),
                (_, Ok(number)) => some_number(number.trunc()),
                _ => Err(failed("this text is no number")),
            }
        }
    }
}

fn join<'a>(found: Found<'a>, given: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
    let Some(Value::Array(items)) = found.as_deref() else {
        return Err(failed("the filter `join` needs a list"));
    };
    let between = match given.first() {
        Some(between) => {
            budget.value(between)?;
            written(between)
        }
        None => Cow::Borrowed(""),
    };
    let mut joined = String::new();
    for (index, item) in items.iter().enumerate() {
        budget.step()?;
        budget.value(item)?;
        if index > 0 {
            budget.text(between.len())?;
            joined.push_str(&between);
        }
        joined.push_str(&written(item));
    }
    some(joined)
}

fn last<'a>(found: Found<'a>, _: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
    match found {
        Some(Cow::Borrowed(Value::Array(items))) => Ok(items.last().map(Cow::Borrowed)),
        found => some(
            text(&found, budget)?
                .chars()
                .next_back()
                .map_or_else(String::new, String::from),
        ),
    }
}

fn length<'a>(found: Found<'a>, _: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
    match found.as_deref() {
        Some(Value::Array(items)) => some(items.len()),
        Some(Value::Object(fields)) => some(fields.len()),
        Some(Value::String(text)) => {
            budget.text(text.len())?;
            some(text.chars().count())
        }
        _ => Err(failed("this value has no length")),
    }
}

fn lower<'a>(found: Found<'a>, _: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
    some(text(&found, budget)?.to_lowercase())
}

fn replace<'a>(found: Found<'a>, given: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
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
    // What it will make is paid for before it is made.
    budget.text(text.matches(&*from).count().saturating_mul(to.len()))?;
    some(text.replace(&*from, &to))
}

fn round<'a>(found: Found<'a>, given: &[Cow<'a, Value>], _: &mut Budget) -> Applied<'a> {
    let digits = given.first().map_or(Some(0), |digits| digits.as_i64());
    let digits = digits.filter(|digits| (0..=9).contains(digits));
    let digits = digits.and_then(|digits| i32::try_from(digits).ok());
    let digits = digits.ok_or_else(|| failed("the filter `round` takes 0 to 9 digits"))?;
    if is_whole(&found) {
        return Ok(found);
    }
    let scale = 10_f64.powi(digits);
    some_number((number(&found)? * scale).round() / scale)
}

fn title<'a>(found: Found<'a>, _: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
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

fn trim<'a>(found: Found<'a>, _: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
    some(text(&found, budget)?.trim())
}

fn upper<'a>(found: Found<'a>, _: &[Cow<'a, Value>], budget: &mut Budget) -> Applied<'a> {
    some(text(&found, budget)?.to_uppercase())
}
