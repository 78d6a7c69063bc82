//! Generates clients from the document, compiles them strictly, and follows README's story with two of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use crate::{
    cache, dev,
    process::{finish, has, run_quiet},
    seed::{self, Seeded},
    stack::Ports,
    tools::{self, Tools},
};

/// Name of the step that compiles clients.
pub const STEP: &str = "clients: openapi-typescript, @hey-api/openapi-ts, orval; tsc --strict";
/// Name of the step that uses them.
pub const STORY: &str = "clients: README's story in TypeScript and Python";
const FILES: [&str; 10] = [
    "openapi/openapi.json",
    "openapi/clients/package.json",
    "openapi/clients/package-lock.json",
    "openapi/clients/orval.config.mjs",
    "openapi/clients/tsconfig.json",
    "openapi/clients/tsconfig.samples.json",
    "openapi/clients/tsconfig.story.json",
    "openapi/clients/samples.mjs",
    "openapi/clients/story.ts",
    "crates/api/src/docs/samples.js",
];

/// The generators' runtime, if it is not installed.
pub fn missing() -> Option<String> {
    (!has("npm")).then(|| "npm is not on PATH (install Node.js 20 or newer)".to_owned())
}

/// Generates the TypeScript clients, and compiles them, the story and the samples of the reference page.
pub fn check() -> Result<()> {
    let _lock = cache::lock("clients")?;
    generate().map(drop)
}

/// The folder of the clients of the committed document, generated if they are not there.
fn generated() -> Result<PathBuf> {
    let folder = cache::directory()?.join("clients");
    let same = |source: &&str| {
        let wanted = fs::read(cache::repository().join(source)).ok();
        wanted.is_some() && wanted == fs::read(folder.join(name(source))).ok()
    };
    let is_current = folder.join("out/story/story.js").exists() && FILES.iter().all(same);
    if is_current { Ok(folder) } else { generate() }
}

/// The name of a file without its folders.
fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Generates and compiles the TypeScript clients; returns their folder.
fn generate() -> Result<PathBuf> {
    let folder = cache::directory()?.join("clients");
    fs::create_dir_all(&folder)?;
    let installed = folder.join("node_modules/.package-lock.json");
    let mut current = installed.exists();
    for source in FILES {
        let (file, wanted) = (name(source), fs::read(cache::repository().join(source))?);
        if file.starts_with("package") {
            current &= fs::read(folder.join(file)).is_ok_and(|known| known == wanted);
        }
        fs::write(folder.join(file), wanted)?;
    }
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
    Ok(folder)
}

/// Follows the story against a running service. Without Node, only in Python.
pub fn story(tools: &Tools) -> Result<()> {
    let _lock = cache::lock("clients")?;
    let folder = cache::scratch("clients")?;
    let running = dev::start_binary(tools, &folder, &Ports::FREE, &dev::binary("debug"), &[])?;
    let seeded = seed::seed(&running.base, &running.operator_key, "clients")?;
    match missing() {
        None => in_typescript(&running.base, &seeded)?,
        Some(missing) => println!("· TypeScript: NOT RUN, {missing}"),
    }
    in_python(&folder, &running.base, &seeded)?;
    drop(running);
    Ok(fs::remove_dir_all(folder)?)
}

fn in_typescript(base: &str, seeded: &Seeded) -> Result<()> {
    let folder = generated()?;
    let mut node = Command::new("node");
    node.arg("out/story/story.js").current_dir(folder);
    follow("TypeScript", &mut node, base, seeded)
}

fn in_python(folder: &Path, base: &str, seeded: &Seeded) -> Result<()> {
    let generator = tools::client_generator()?;
    let source = cache::repository().join("openapi");
    let package = folder.join("patchbay_client");
    let mut generate = Command::new(generator.join("bin/openapi-python-client"));
    generate
        .args([
            "generate",
            "--meta",
            "none",
            "--overwrite",
            "--fail-on-warning",
        ])
        .arg("--path")
        .arg(source.join("openapi.json"))
        .arg("--config")
        .arg(source.join("clients/python.yaml"))
        .arg("--output-path")
        .arg(&package);
    run_quiet("openapi-python-client", &mut generate)?;
    let mut python = Command::new(generator.join("bin/python"));
    python
        .arg("-B")
        .arg(source.join("clients/story.py"))
        .arg(folder);
    follow("Python", &mut python, base, seeded)
}

fn follow(language: &str, command: &mut Command, base: &str, seeded: &Seeded) -> Result<()> {
    command.args([base, &seeded.tenant, &seeded.key]);
    ensure!(finish(language, command)?, "the story fails in {language}");
    Ok(())
}
