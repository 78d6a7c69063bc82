//! Compares the committed OpenAPI document with the generated one.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    cache, dev,
    process::{FAULTS, cargo, run_quiet},
};

fn generated() -> Result<String> {
    run_quiet(
        "cargo build",
        &mut cargo(&["build", "--workspace", "--features", FAULTS]),
    )?;
    let output = Command::new(dev::binary("debug")).arg("openapi").output()?;
    ensure!(output.status.success(), "patchbay-api openapi failed");
    Ok(String::from_utf8(output.stdout)?)
}

/// Writes the document.
pub fn write() -> Result<()> {
    let file = cache::repository().join("openapi/openapi.json");
    fs::write(&file, generated()?)?;
    println!("wrote openapi/openapi.json");
    Ok(())
}

/// Fails with the difference if the committed document is outdated.
pub fn compare() -> Result<()> {
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
