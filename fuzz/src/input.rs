//! Values from a fuzzer's bytes.
#![cfg_attr(
    not(all(feature = "merge_patches", feature = "phone_numbers")),
    allow(dead_code)
)]

use arbitrary::{Result, Unstructured};
use serde_json::{Map, Value};

/// Few names, so that collisions are frequent.
pub const NAMES: [&str; 6] = ["", "a", "b", "c", "d/~", "é"];

/// Any JSON value of at most this depth.
pub fn json(u: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    let kinds = if depth == 0 { 4 } else { 7 };
    Ok(match u.int_in_range(0..=kinds)? {
        0 => Value::Null,
        1 => Value::Bool(u.arbitrary()?),
        2 => u.arbitrary::<i16>()?.into(),
        3 => u.arbitrary::<f64>()?.into(),
        4 => u.arbitrary::<String>()?.into(),
        5 => {
            let length = u.int_in_range(0..=3)?;
            let items: Result<Vec<_>> = (0..length).map(|_| json(u, depth - 1)).collect();
            items?.into()
        }
        _ => object(u, depth)?.into(),
    })
}

/// Any JSON object of at most this depth.
pub fn object(u: &mut Unstructured<'_>, depth: u32) -> Result<Map<String, Value>> {
    let length = u.int_in_range(0..=3)?;
    let field = |_| Ok((name(u)?.to_owned(), json(u, depth.saturating_sub(1))?));
    (0..length).map(field).collect()
}

/// One of [`NAMES`].
pub fn name(u: &mut Unstructured<'_>) -> Result<&'static str> {
    Ok(u.choose(&NAMES)?)
}

/// Splits bytes at the first newline.
pub fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n');
    at.map_or((data, &[]), |at| (&data[..at], &data[at + 1..]))
}
