//! `cargo xtask verify`: checks before a release, with optional tools.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::{
    cache, clients, dev, fuzz, manifests,
    process::{cargo, catch_signals, finish, has, succeeds},
    steps::Steps,
    tools,
};

/// A linter of the document: its npm packages, the command that they bring, and its arguments.
struct Linter {
    name: &'static str,
    packages: &'static [&'static str],
    command: &'static str,
    arguments: &'static str,
}

const SPECTRAL: &str = "@stoplight/spectral-cli@6.16.3";
const LINTERS: [Linter; 3] = [
    Linter {
        name: "document (redocly)",
        packages: &["@redocly/cli@2.77.0"],
        command: "redocly",
        arguments: "lint",
    },
    Linter {
        name: "document (spectral:oas)",
        packages: &[SPECTRAL],
        command: "spectral",
        arguments: "lint --ruleset openapi/.spectral.yaml --fail-severity warn",
    },
    Linter {
        name: "document (OWASP)",
        packages: &[SPECTRAL, "@stoplight/spectral-owasp-ruleset@2.0.1"],
        command: "spectral",
        arguments: "lint --ruleset openapi/.owasp.yaml --fail-severity error --display-only-failures",
    },
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
    for linter in LINTERS {
        steps.run_unless(|| no_linter(&linter), linter.name, || lint(&linter));
    }
    manifests::check(&mut steps);
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

fn no_linter(linter: &Linter) -> Option<String> {
    if !has("npx") {
        return Some("npx is not on PATH (install Node.js 20.19 or newer)".to_owned());
    }
    println!("· fetching {}", linter.packages.join(" and "));
    let is_there = succeeds(&mut npx(linter, "--version"));
    let how = "npx cannot run it (is npm's registry reachable, is Node.js 20.19 or newer?)";
    (!is_there).then(|| how.to_owned())
}

fn lint(linter: &Linter) -> Result<()> {
    let mut command = npx(linter, &format!("{} {DOCUMENT}", linter.arguments));
    ensure!(
        finish(linter.name, &mut command)?,
        "{} failed",
        linter.command
    );
    Ok(())
}

/// A linter among its packages, where it finds their rules by name.
fn npx(linter: &Linter, arguments: &str) -> Command {
    let mut npx = Command::new("npx");
    npx.arg("--yes");
    let packages = linter.packages.iter();
    npx.args(packages.map(|package| format!("--package={package}")));
    let command = linter.command;
    let packages = format!("$(dirname \"$(dirname \"$(command -v {command})\")\")");
    npx.args([
        "-c",
        &format!("NODE_PATH=\"{packages}\" {command} {arguments}"),
    ]);
    npx.current_dir(cache::repository()).stdin(Stdio::null());
    npx
}
