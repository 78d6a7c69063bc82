//! Dependency rules of the crates.

use anyhow::{Context as _, Result, bail};

use crate::process::cargo;

const API: &str = "patchbay-api";
const SERVICE: &str = "patchbay-service";
/// Crates of the middle layer, which must not depend on each other.
const MIDDLE: [&str; 6] = [
    "patchbay-persistence",
    "patchbay-livekit",
    "patchbay-documents",
    "patchbay-vectors",
    "patchbay-storage",
    "patchbay-outbound",
];
const DOMAIN: &str = "patchbay-domain";

/// Forbidden for the domain, which has no I/O and no framework.
const NOT_IN_DOMAIN: [&str; 5] = ["tokio", "actix-web", "diesel", "reqwest", "utoipa"];
/// Forbidden for the service, which is independent of HTTP and OpenAPI.
const NOT_IN_SERVICE: [&str; 4] = ["actix-web", "actix-http", "utoipa", API];

/// `api → service → {middle} → domain`.
pub fn check() -> Result<()> {
    let mut faults = Vec::new();
    for (package, forbidden) in rules() {
        match dependencies(package) {
            Ok(tree) => faults.extend(broken(package, &forbidden, &tree)),
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    if !faults.is_empty() {
        bail!("\n{}", faults.join("\n"));
    }
    Ok(())
}

/// Each package below the API with its forbidden dependencies, direct or transitive.
fn rules() -> Vec<(&'static str, Vec<&'static str>)> {
    let above = [SERVICE, API];
    let everything = MIDDLE.into_iter().chain(above);
    let mut rules = vec![
        (
            DOMAIN,
            NOT_IN_DOMAIN
                .into_iter()
                .chain(everything.clone())
                .collect(),
        ),
        (SERVICE, NOT_IN_SERVICE.to_vec()),
    ];
    for package in MIDDLE {
        let others = everything.clone().filter(|other| *other != package);
        rules.push((package, others.collect()));
    }
    rules
}

fn broken(package: &str, forbidden: &[&str], tree: &[String]) -> Vec<String> {
    let is_there = |name: &&&str| tree.iter().any(|dependency| dependency == **name);
    let found = forbidden.iter().filter(is_there);
    found
        .map(|name| format!("{package} must not depend on {name}"))
        .collect()
}

/// All dependencies of a package by name.
fn dependencies(package: &str) -> Result<Vec<String>> {
    let arguments = ["tree", "--edges", "normal", "--prefix", "none", "--package"];
    let output = cargo(&arguments).arg(package).output();
    let output = output.context("cargo tree")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or_default();
        bail!("{package} cannot be looked at; is it in the workspace? cargo tree: {said}");
    }
    let tree = String::from_utf8_lossy(&output.stdout);
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_in_the_middle_see_neither_each_other_nor_what_is_above() {
        let rules = rules();
        let rule = |package| rules.iter().find(|(name, _)| *name == package).unwrap();
        let (_, forbidden) = rule("patchbay-vectors");
        assert_eq!(forbidden.len(), 7);
        assert!(!forbidden.contains(&"patchbay-vectors"));
        assert!(forbidden.contains(&SERVICE) && forbidden.contains(&API));
        let tree = ["patchbay-vectors", "patchbay-domain", API].map(str::to_owned);
        let broken = broken("patchbay-vectors", forbidden, &tree);
        assert_eq!(broken, ["patchbay-vectors must not depend on patchbay-api"]);
    }
}
