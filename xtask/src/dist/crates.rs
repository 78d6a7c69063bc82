//! The crates whose code is in the binary.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::{capture, cargo};

/// Name and version of a crate.
pub type Id = (String, String);

/// Those of a target. Cargo's metadata, which other tools read, has more: it does not tell the features of the binary from
/// those of tests and of the rest of the workspace.
pub fn in_binary(target: &str) -> Result<BTreeSet<Id>> {
    let arguments = ["tree", "--locked", "--package", "patchbay-api"];
    let mut tree = cargo(&arguments);
    tree.args(["--edges", "normal", "--prefix", "none", "--target", target]);
    let crates: BTreeSet<_> = capture("cargo tree", &mut tree)?
        .lines()
        .filter_map(id)
        .collect();
    ensure!(!crates.is_empty(), "cargo tree names no crate");
    Ok(crates)
}

/// Reads `name v1.2.3`, which other words may follow.
fn id(line: &str) -> Option<Id> {
    let (name, rest) = line.split_once(" v")?;
    let version = rest.split(' ').next()?;
    Some((name.to_owned(), version.to_owned()))
}

/// Each of these crates with the folder of its source.
pub fn folders(crates: &BTreeSet<Id>) -> Result<Vec<(Id, PathBuf)>> {
    let mut metadata = cargo(&["metadata", "--locked", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&capture("cargo metadata", &mut metadata)?)?;
    let packages = metadata["packages"].as_array();
    let packages = packages.context("cargo metadata names no packages")?;
    let mut found: Vec<_> = packages.iter().filter_map(folder).collect();
    found.retain(|(id, _)| crates.contains(id));
    found.sort();
    Ok(found)
}

fn folder(package: &Value) -> Option<(Id, PathBuf)> {
    let text = |field: &str| package[field].as_str();
    let folder = Path::new(text("manifest_path")?).parent()?;
    let id = (text("name")?.to_owned(), text("version")?.to_owned());
    Some((id, folder.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_tree_are_read() {
        let expected = Some(("serde_derive".to_owned(), "1.0.0-rc.1+x".to_owned()));
        assert_eq!(id("serde_derive v1.0.0-rc.1+x (proc-macro) (*)"), expected);
        assert_eq!(id(""), None);
    }
}
