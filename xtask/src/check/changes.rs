//! Every change of the contract has an entry in `openapi/CHANGES.md`. An entry names the contract by its digest:
//! SHA-256 of the document without what is for people alone.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::cache;

/// Members of the document that are for people alone.
const WORDS: [&str; 6] = [
    "description",
    "summary",
    "title",
    "example",
    "examples",
    "version",
];

/// Fails if the newest entry is that of another contract.
pub fn check() -> Result<()> {
    let folder = cache::repository().join("openapi");
    let document = fs::read(folder.join("openapi.json"))?;
    let changes = fs::read_to_string(folder.join("CHANGES.md"))?;
    let entry = changes
        .lines()
        .find_map(|line| line.strip_prefix("Contract: "));
    let entry = entry.context("openapi/CHANGES.md has no line `Contract: …`")?;
    let digest = digest(&serde_json::from_slice(&document)?);
    ensure!(
        entry == digest,
        "the contract has changed: say how in a new entry on top of openapi/CHANGES.md, with the line `Contract: {digest}`"
    );
    Ok(())
}

fn digest(document: &Value) -> String {
    let digest = Sha256::digest(bare(document, false).to_string());
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The document without words. The names of a schema's properties are none, whatever they are.
fn bare(value: &Value, are_names: bool) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .filter(|(name, _)| are_names || !WORDS.contains(&name.as_str()));
            let fields = fields.map(|(name, value)| {
                let of_names =
                    !are_names && matches!(&**name, "properties" | "schemas" | "mapping");
                (name.clone(), bare(value, of_names))
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(|item| bare(item, false)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_may_change_and_names_may_not() {
        let schema = |property: &str, words: &str| json!({ "schemas": { "A": { "description": words, "properties": { property: { "example": words } } } } });
        let one = digest(&schema("description", "a"));
        assert_eq!(one, digest(&schema("description", "b")));
        assert_ne!(one, digest(&schema("title", "a")));
    }
}
