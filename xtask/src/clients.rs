//! Generates TypeScript clients from the document and compiles them strictly.

use std::{fs, process::Command};

use anyhow::{Result, ensure};

use crate::{
    cache,
    process::{finish, has, run_quiet},
};

/// Name of the step.
pub const STEP: &str = "clients: openapi-typescript, @hey-api/openapi-ts, orval; tsc --strict";
const FILES: [&str; 4] = [
    "package.json",
    "package-lock.json",
    "orval.config.mjs",
    "tsconfig.json",
];

/// The generators' runtime, if it is not installed.
pub fn missing() -> Option<String> {
    (!has("npm")).then(|| "npm is not on PATH (install Node.js 20 or newer)".to_owned())
}

/// The check.
pub fn check() -> Result<()> {
    let _lock = cache::lock("clients")?;
    let folder = cache::directory()?.join("clients");
    fs::create_dir_all(&folder)?;
    let source = cache::repository().join("openapi");
    let installed = folder.join("node_modules/.package-lock.json");
    let mut current = installed.exists();
    for file in FILES {
        let wanted = fs::read(source.join("clients").join(file))?;
        current &= fs::read(folder.join(file)).is_ok_and(|known| known == wanted);
        fs::write(folder.join(file), wanted)?;
    }
    fs::copy(source.join("openapi.json"), folder.join("openapi.json"))?;
    if !current {
        println!("· fetching client generators");
        let mut npm = Command::new("npm");
        npm.args(["ci", "--silent", "--no-audit", "--no-fund"])
            .current_dir(&folder);
        run_quiet("npm ci", &mut npm)?;
    }
    let _ = fs::remove_dir_all(folder.join("out"));
    let mut npm = Command::new("npm");
    npm.args(["run", "--silent", "check"]).current_dir(&folder);
    ensure!(finish("the generators", &mut npm)?, "npm run check failed");
    Ok(())
}
