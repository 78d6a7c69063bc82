//! Keywords of a schema that would escape the cost estimate.

use serde_json::Value;

use crate::invalid::{Invalid, MOST_VIOLATIONS, Place, Violation};

/// Keywords that change what a reference points to, or that visit a value once more for each of its levels.
const NO_PLACE: [&str; 7] = [
    "$id",
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$vocabulary",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Refuses keywords that would change the meaning of the rest of the schema.
pub(super) fn check_words(
    schema: &Value,
    at: &mut Place,
    is_root: bool,
    found: &mut Vec<Violation>,
) {
    if found.len() >= MOST_VIOLATIONS {
        return;
    }
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                at.field(name, |at| {
                    if let Some(invalid) = check_word(name, value, is_root) {
                        found.push(invalid.at(&*at));
                    }
                    check_words(value, at, false, found);
                });
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                at.item(index, |at| check_words(item, at, false, found));
            }
        }
        _ => {}
    }
}

fn check_word(name: &str, value: &Value, is_root: bool) -> Option<Invalid> {
    let text = value.as_str();
    // A property may have such a name; as a keyword its value is a string or a schema.
    let is_keyword = text.is_some() || name.starts_with("unevaluated");
    // Another dialect would have other keywords for references.
    let is_inner_dialect = name == "$schema" && text.is_some() && !is_root;
    if NO_PLACE.contains(&name) && is_keyword || is_inner_dialect {
        let message = format!("`{name}` has no place in a tool's parameters");
        return Some(Invalid::new("not_supported", message));
    }
    let to = text.filter(|_| name == "$ref")?;
    if to != "#" && !to.starts_with("#/") {
        let message = "references stay within the schema: `#/…`";
        return Some(Invalid::new("remote_reference", message));
    }
    // It would be decoded, and point to a subschema that was not counted.
    to.contains('%').then(|| {
        let message = "a reference is not percent-encoded";
        Invalid::new("not_supported", message)
    })
}
