//! The bill of materials of the binary, in the format CycloneDX.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{crates::Id, release::Release};
use crate::{
    cache,
    check::packages,
    process::{cargo, run},
};

const FILE: &str = "sbom.cdx.json";

/// Writes it. The tool leaves out its random serial number and its own time because it is given the time of the release.
pub fn write(release: &Release, crates: &BTreeSet<Id>) -> Result<()> {
    let mut cyclonedx = cargo(&["cyclonedx", "--manifest-path", "crates/api/Cargo.toml"]);
    cyclonedx
        .args([
            "--format",
            "json",
            "--spec-version",
            "1.5",
            "--no-build-deps",
        ])
        .args(["--target", &release.target, "--override-filename"])
        .arg(FILE.trim_end_matches(".json"))
        .env("SOURCE_DATE_EPOCH", &release.epoch);
    let outcome = run("bill of materials (cargo cyclonedx)", &mut cyclonedx);
    let root = cache::repository();
    let made = fs::read_to_string(root.join("crates/api").join(FILE));
    // The tool writes one beside each manifest of the workspace, and has no option for another place.
    for (_, folder) in packages(&root)? {
        let _ = fs::remove_file(folder.join(FILE));
    }
    outcome?;
    let made = made.with_context(|| format!("cargo cyclonedx has not written {FILE}"))?;
    let made = without_root(&made, &root.display().to_string());
    let mut bill: Value = serde_json::from_str(&made)?;
    retain(&mut bill, crates)?;
    let text = serde_json::to_string_pretty(&bill)? + "\n";
    Ok(fs::write(release.file(FILE), text)?)
}

/// Without the path of the repository, which is part of the tool's names for the crates of the workspace.
fn without_root(bill: &str, root: &str) -> String {
    bill.replace(&format!("path+file://{root}/"), "path+file:///")
}

/// Keeps only these crates, as components and as dependencies.
fn retain(bill: &mut Value, crates: &BTreeSet<Id>) -> Result<()> {
    let components = bill["components"].as_array_mut();
    let components = components.context("the bill of materials has no components")?;
    let mut dropped = BTreeSet::new();
    components.retain(|component| {
        let text = |field: &str| component[field].as_str().unwrap_or_default().to_owned();
        let is_kept = crates.contains(&(text("name"), text("version")));
        if !is_kept {
            dropped.insert(text("bom-ref"));
        }
        is_kept
    });
    let is_dropped = |reference: &Value| reference.as_str().is_some_and(|it| dropped.contains(it));
    let dependencies = bill["dependencies"].as_array_mut();
    let dependencies = dependencies.context("the bill of materials has no dependencies")?;
    dependencies.retain(|dependency| !is_dropped(&dependency["ref"]));
    for dependency in dependencies {
        let on = dependency.get_mut("dependsOn");
        if let Some(on) = on.and_then(Value::as_array_mut) {
            on.retain(|reference| !is_dropped(reference));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_in_the_binary_is_left_out() {
        let component = |name: &str| json!({ "name": name, "version": "1.0.0", "bom-ref": name });
        let mut bill = json!({
            "components": [component("a"), component("b"), component("c")],
            "dependencies": [{ "ref": "a", "dependsOn": ["b", "c"] }, { "ref": "b" }, { "ref": "c" }],
        });
        let crates = ["a", "c"].map(|name| (name.to_owned(), "1.0.0".to_owned()));
        let crates = BTreeSet::from(crates);
        retain(&mut bill, &crates).unwrap();
        let expected = json!({
            "components": [component("a"), component("c")],
            "dependencies": [{ "ref": "a", "dependsOn": ["c"] }, { "ref": "c" }],
        });
        assert_eq!(bill, expected);
    }

    #[test]
    fn the_path_of_the_repository_is_left_out() {
        let bill = "path+file:///home/me/patchbay/crates/api#patchbay-api@1.0.0";
        let expected = "path+file:///crates/api#patchbay-api@1.0.0";
        assert_eq!(without_root(bill, "/home/me/patchbay"), expected);
    }
}
