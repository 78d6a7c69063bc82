//! Comparisons and truth of values.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{
    budget::Budget,
    tree::Compare,
    value::{Found, failed},
};
use crate::invalid::Invalid;

/// Whether a value counts as true: neither undefined, null, false, zero nor empty.
pub(super) fn is_true(value: &Found<'_>) -> bool {
    match value.as_deref() {
        None | Some(Value::Null) => false,
        Some(Value::Bool(truth)) => *truth,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
    }
}

/// The outcome of a comparison. An undefined value equals nothing and is contained in nothing.
pub(super) fn compare(
    left: &Found<'_>,
    how: Compare,
    right: &Found<'_>,
    budget: &mut Budget,
) -> Result<bool, Invalid> {
    let (Some(left), Some(right)) = (left.as_deref(), right.as_deref()) else {
        return match how {
            Compare::Equal | Compare::In => Ok(false),
            Compare::Unequal | Compare::NotIn => Ok(true),
            _ => Err(failed("a value is missing")),
        };
    };
    let found = match how {
        Compare::Equal => equal(left, right, budget)?,
        Compare::Unequal => !equal(left, right, budget)?,
        Compare::In => contains(right, left, budget)?,
        Compare::NotIn => !contains(right, left, budget)?,
        Compare::Less => order(left, right, budget)?.is_lt(),
        Compare::LessOrEqual => order(left, right, budget)?.is_le(),
        Compare::Greater => order(left, right, budget)?.is_gt(),
        Compare::GreaterOrEqual => order(left, right, budget)?.is_ge(),
    };
    Ok(found)
}

/// Equality by value; 1 equals 1.0.
fn equal(left: &Value, right: &Value, budget: &mut Budget) -> Result<bool, Invalid> {
    budget.value(left)?;
    if let (Value::Number(left), Value::Number(right)) = (left, right) {
        // Integers are compared as such: not all of them fit a float.
        let both_whole = !left.is_f64() && !right.is_f64();
        return Ok(left == right || !both_whole && left.as_f64() == right.as_f64());
    }
    budget.value(right)?;
    Ok(left == right)
}

fn contains(whole: &Value, part: &Value, budget: &mut Budget) -> Result<bool, Invalid> {
    match (whole, part) {
        (Value::String(whole), Value::String(part)) => {
            budget.text(whole.len() + part.len())?;
            Ok(whole.contains(&**part))
        }
        (Value::Object(fields), Value::String(name)) => Ok(fields.contains_key(name)),
        (Value::Array(items), part) => {
            for item in items {
                if equal(item, part, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(failed("`in` needs a list, an object or a text")),
    }
}

fn whole(number: &Number) -> Option<i128> {
    let signed = number.as_i64().map(i128::from);
    signed.or_else(|| number.as_u64().map(i128::from))
}

fn order(left: &Value, right: &Value, budget: &mut Budget) -> Result<Ordering, Invalid> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            let exact = whole(left).zip(whole(right));
            let exact = exact.map(|(left, right)| left.cmp(&right));
            let about = || left.as_f64()?.partial_cmp(&right.as_f64()?);
            exact
                .or_else(about)
                .ok_or_else(|| failed("these numbers have no order"))
        }
        (Value::String(left), Value::String(right)) => {
            budget.text(left.len() + right.len())?;
            Ok(left.cmp(right))
        }
        _ => Err(failed("only two numbers or two texts have an order")),
    }
}
