//! What needs no server: format, lints, the dependency rule, the document.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    cache,
    process::{cargo, run, run_quiet},
};

/// Crates in the middle: they never see each other.
const MIDDLE: [&str; 6] = [
    "patchbay-persistence",
    "patchbay-livekit",
    "patchbay-outbound",
    "patchbay-documents",
    "patchbay-storage",
    "patchbay-vectors",
];
/// What the domain must not pull in.
const NOT_IN_DOMAIN: [&str; 4] = ["tokio", "actix-web", "diesel", "reqwest"];

/// The command.
pub fn all() -> Result<()> {
    run("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    run(
        "clippy",
        &mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "--deny",
            "warnings",
        ]),
    )?;
    println!("▸ dependency rule");
    dependencies()?;
    println!("▸ document");
    document()
}

/// `api → {middle} → domain`, and the domain stands alone.
fn dependencies() -> Result<()> {
    for forbidden in NOT_IN_DOMAIN {
        ensure!(
            !depends("patchbay-domain", forbidden)?,
            "patchbay-domain must not depend on {forbidden}"
        );
    }
    for from in MIDDLE {
        for to in MIDDLE.into_iter().chain(["patchbay-api"]) {
            ensure!(
                from == to || !depends(from, to)?,
                "{from} must not depend on {to}"
            );
        }
    }
    Ok(())
}

fn depends(from: &str, to: &str) -> Result<bool> {
    let output = cargo(&[
        "tree",
        "--package",
        from,
        "--edges",
        "normal",
        "--prefix",
        "none",
    ])
    .output()
    .context("cargo tree")?;
    ensure!(output.status.success(), "cargo tree failed for {from}");
    let tree = String::from_utf8_lossy(&output.stdout);
    Ok(tree.lines().any(|line| line.split(' ').next() == Some(to)))
}

fn generated() -> Result<String> {
    run_quiet("cargo build", &mut cargo(&["build", "--workspace"]))?;
    let output = Command::new(crate::dev::binary("debug"))
        .arg("openapi")
        .output()?;
    ensure!(output.status.success(), "patchbay-api openapi failed");
    Ok(String::from_utf8(output.stdout)?)
}

/// Writes the document.
pub fn write_document() -> Result<()> {
    let file = cache::repository().join("openapi/openapi.json");
    fs::write(&file, generated()?)?;
    println!("wrote openapi/openapi.json");
    Ok(())
}

/// Fails with the difference where the committed document is not the generated one.
pub fn document() -> Result<()> {
    let file = cache::repository().join("openapi/openapi.json");
    let committed = fs::read_to_string(&file).unwrap_or_default();
    let generated = generated()?;
    if committed == generated {
        return Ok(());
    }
    let fresh = std::env::temp_dir().join(format!("openapi-{}.json", std::process::id()));
    fs::write(&fresh, &generated)?;
    let shown = Command::new("diff")
        .arg("-u")
        .arg(&file)
        .arg(&fresh)
        .status();
    fs::remove_file(&fresh)?;
    shown.context("diff")?;
    bail!("openapi/openapi.json is not what the code says: run `cargo xtask openapi`")
}
