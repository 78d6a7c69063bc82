//! Checks without servers: format, lints, dependency rules, the OpenAPI document, versions, banned words.

mod arrows;
mod changes;
mod circles;
mod document;
mod sources;
mod tokens;
mod words;

use anyhow::Result;

pub use document::{compare as document, write as write_document};
pub use sources::packages;

use crate::{
    cache, dist,
    process::{FAULTS, cargo, catch_signals},
    steps::Steps,
};

/// The command: all steps, or those whose names contain this.
pub fn all(filter: Option<&str>) -> Result<()> {
    catch_signals()?;
    let mut steps = Steps::only(filter.unwrap_or_default());
    run(&mut steps);
    steps.finish()
}

/// The steps, with which `test` begins, too.
pub fn run(steps: &mut Steps) {
    let root = cache::repository();
    steps.command("format", &mut cargo(&["fmt", "--all", "--check"]));
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--features",
        FAULTS,
    ];
    steps.command("clippy", cargo(&clippy).args(["--", "--deny", "warnings"]));
    steps.run("arrows between crates", arrows::check);
    steps.run("circles of files", || circles::check(&root));
    steps.run("document drift", document);
    steps.run("changes of the contract", changes::check);
    steps.run("versions of a release", dist::check_versions);
    steps.run("banned words", || words::check(&root));
}
