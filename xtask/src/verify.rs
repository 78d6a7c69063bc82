//! `cargo xtask verify`: checks before a release, with optional tools.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::{
    cache, clients, dev, fuzz,
    process::{cargo, catch_signals, finish, has},
    steps::Steps,
    tools,
};

/// Linters of the document: package and arguments.
const LINTERS: [(&str, &[&str]); 2] = [
    ("@redocly/cli@2.77.0", &["lint"]),
    (
        "@stoplight/spectral-cli@6.16.3",
        &[
            "lint",
            "--ruleset",
            "openapi/.spectral.yaml",
            "--fail-severity",
            "warn",
        ],
    ),
];
const DOCUMENT: &str = "openapi/openapi.json";
/// Seconds for each fuzz target: whether it builds, starts and finds nothing at once.
const SMOKE_SECONDS: u64 = 5;

/// The command: all steps, or those whose names contain this.
pub fn all(filter: Option<&str>) -> Result<()> {
    catch_signals()?;
    let mut steps = Steps::only(filter.unwrap_or_default());
    steps.run_unless(no_deny, "licenses, bans, sources (cargo deny)", deny);
    steps.command(
        "rustdoc (cargo doc)",
        cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
    );
    for (package, arguments) in LINTERS {
        let name = format!("document ({package})");
        steps.run_unless(|| no_package(package), &name, || lint(package, arguments));
    }
    steps.run_unless(clients::missing, clients::STEP, clients::check);
    steps.run(clients::STORY, || {
        clients::story(&tools::ensure(dev::build)?)
    });
    let name = format!("fuzz targets, {SMOKE_SECONDS} s each");
    steps.run_unless(fuzz::missing, &name, || {
        fuzz::run_targets("", SMOKE_SECONDS, false)
    });
    steps.finish()
}

fn no_deny() -> Option<String> {
    let is_there = succeeds(&mut cargo(&["deny", "--version"]));
    (!is_there).then(|| "cargo-deny is missing (cargo install --locked cargo-deny)".to_owned())
}

fn deny() -> Result<()> {
    let check = [
        "deny",
        "--all-features",
        "check",
        "licenses",
        "bans",
        "sources",
    ];
    ensure!(
        finish("cargo deny", &mut cargo(&check))?,
        "cargo deny failed"
    );
    Ok(())
}

fn no_package(package: &str) -> Option<String> {
    if !has("npx") {
        return Some("npx is not on PATH (install Node.js 20.19 or newer)".to_owned());
    }
    println!("· fetching {package}");
    let is_there = succeeds(npx(package).arg("--version"));
    let how = "npx cannot run it (is npm's registry reachable, is Node.js 20.19 or newer?)";
    (!is_there).then(|| how.to_owned())
}

fn lint(package: &str, arguments: &[&str]) -> Result<()> {
    let mut linter = npx(package);
    linter.args(arguments).arg(DOCUMENT);
    ensure!(finish(package, &mut linter)?, "{package} failed");
    Ok(())
}

fn npx(package: &str) -> Command {
    let mut npx = Command::new("npx");
    npx.args(["--yes", package]);
    npx.current_dir(cache::repository()).stdin(Stdio::null());
    npx
}

/// Whether a command succeeds; its output is not shown.
fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    finish("it", command).unwrap_or(false)
}
