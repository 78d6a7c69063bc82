//! A release has one version: the workspace, the chart, the document and the changelog agree on it.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::cache;

/// The version of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
const CHART: &str = "deploy/helm/patchbay/Chart.yaml";
/// The committed document.
pub const DOCUMENT: &str = "openapi/openapi.json";
const CHANGELOG: &str = "CHANGELOG.md";

/// Fails with each file that has another version than the workspace.
pub fn check() -> Result<()> {
    let read = |file: &str| {
        fs::read_to_string(cache::repository().join(file)).with_context(|| format!("no {file}"))
    };
    let mut faults = in_chart(&read(CHART)?, VERSION);
    faults.extend(in_document(
        &serde_json::from_str(&read(DOCUMENT)?)?,
        VERSION,
    ));
    faults.extend(in_changelog(&read(CHANGELOG)?, VERSION));
    ensure!(
        faults.is_empty(),
        "Cargo.toml has the version {VERSION}, but:\n  {}",
        faults.join("\n  ")
    );
    Ok(())
}

fn in_chart(chart: &str, version: &str) -> Vec<String> {
    let is_other = |field: &&str| {
        let value = chart
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.map(|value| value.trim().trim_matches('"')) != Some(version)
    };
    let others = ["version", "appVersion"].into_iter().filter(is_other);
    others
        .map(|field| format!("{CHART}: `{field}` is not {version}"))
        .collect()
}

fn in_document(document: &Value, version: &str) -> Option<String> {
    let is_same = document["info"]["version"] == version;
    (!is_same).then(|| format!("{DOCUMENT}: `info.version` is not {version}"))
}

/// The changes of a version begin with `## [<version>]`, usually followed by its date.
fn in_changelog(changelog: &str, version: &str) -> Option<String> {
    let heading = format!("## [{version}]");
    let mut lines = changelog.lines();
    lines.find(|line| line.starts_with(&heading));
    let mut changes = lines.take_while(|line| !line.starts_with("## "));
    let is_empty = changes.all(|line| line.trim().is_empty());
    is_empty.then(|| format!("{CHANGELOG}: says nothing below `{heading}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn this_repository_has_one_version() {
        check().unwrap();
    }

    #[test]
    fn both_versions_of_the_chart_are_compared() {
        let chart = "apiVersion: v2\nversion: 1.2.3\nappVersion: \"1.2.3\"\n";
        assert!(in_chart(chart, "1.2.3").is_empty());
        assert_eq!(in_chart(chart, "1.2.4").len(), 2);
        let other = chart.replace("\"1.2.3\"", "1.2.2");
        let expected = format!("{CHART}: `appVersion` is not 1.2.3");
        assert_eq!(in_chart(&other, "1.2.3"), [expected]);
        assert_eq!(in_chart("apiVersion: v2\n", "1.2.3").len(), 2);
    }

    #[test]
    fn the_version_of_the_document_is_compared() {
        let document = json!({ "openapi": "3.1.0", "info": { "version": "1.2.3" } });
        assert_eq!(in_document(&document, "1.2.3"), None);
        assert!(in_document(&document, "1.2.4").is_some());
    }

    #[test]
    fn the_changelog_says_something_of_the_version() {
        let changelog = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-01-31\n\n### Added\n\n\
            ## [1.2.2]\n\n## [1.2.1]\n\n- One.\n";
        assert_eq!(in_changelog(changelog, "1.2.3"), None);
        assert_eq!(in_changelog(changelog, "1.2.1"), None);
        for version in ["1.2.2", "1.2.4", "Unreleased"] {
            assert!(in_changelog(changelog, version).is_some(), "{version}");
        }
    }
}
