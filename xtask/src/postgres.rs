//! PostgreSQL on loopback, as a child process.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    cache,
    process::{Server, bound, free_port, run_quiet, wait_for},
    secrets::{Secrets, restrict},
    tools::Tools,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A running server with the roles and the database of Patchbay. It is stopped on drop.
pub struct Postgres {
    /// The server.
    pub server: Server,
    /// URL of the application role.
    pub url: String,
    /// URL of the owner role.
    pub owner_url: String,
    /// URL of the superuser, for the same database.
    pub superuser_url: String,
}

impl Postgres {
    /// Starts the server of a folder, which is made if it has no data yet, with the passwords of the folder.
    pub fn start(tools: &Tools, folder: &Path, preferred: u16) -> Result<Self> {
        let secrets = Secrets::of(folder)?;
        let port = free_port("PostgreSQL", preferred)?;
        let data = folder.join("postgres");
        if !data.join("PG_VERSION").exists() {
            init(tools, &data, secrets.get("postgres"))?;
        }
        let log = folder.join("postgres.log");
        let mut command = as_nobody(tools.postgres.join("postgres"));
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        command.args(["-h", "127.0.0.1", "-k", "", "-c", "max_connections=300"]);
        let mut server = Server::start("PostgreSQL", &mut command, &log)?;
        let url = |role: &str, secret: &str, database: &str| {
            let password = secrets.get(secret);
            format!("postgres://{role}:{password}@127.0.0.1:{port}/{database}")
        };
        let superuser = |database: &str| url("postgres", "postgres", database);
        let psql = |database: &str, sql: &str| tools.psql(&superuser(database), sql);
        wait_for("PostgreSQL", PATIENCE, &log, &mut server, || {
            psql("postgres", "SELECT 1").is_ok()
        })?;
        psql("postgres", &roles(&secrets))?;
        if psql("patchbay", "SELECT 1").is_err() {
            psql("postgres", "CREATE DATABASE patchbay OWNER patchbay_owner")?;
            psql("patchbay", "CREATE EXTENSION IF NOT EXISTS vector")?;
        }
        Ok(Self {
            server,
            url: url("patchbay_app", "app", "patchbay"),
            owner_url: url("patchbay_owner", "owner", "patchbay"),
            superuser_url: superuser("patchbay"),
        })
    }
}

/// SQL that creates the roles, if they are not there.
fn roles(secrets: &Secrets) -> String {
    let (owner, app) = (secrets.get("owner"), secrets.get("app"));
    format!(
        "DO $$ BEGIN
             IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'patchbay_owner') THEN
                 CREATE ROLE patchbay_owner LOGIN PASSWORD '{owner}';
                 CREATE ROLE patchbay_app LOGIN PASSWORD '{app}';
             END IF;
         END $$"
    )
}

/// A program that refuses to run as root.
pub fn as_nobody(program: PathBuf) -> Command {
    if cache::is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
            .args(["--pdeathsig", "INT", "--"])
            .arg(program);
        return command;
    }
    bound(program)
}

/// Makes files those of the user of such programs.
pub fn give_to_nobody(files: &[&Path]) -> Result<()> {
    if !cache::is_root() {
        return Ok(());
    }
    let mut chown = Command::new("chown");
    chown.arg("nobody:nogroup").args(files);
    run_quiet("chown", &mut chown)
}

fn init(tools: &Tools, data: &Path, password: &str) -> Result<()> {
    let _ = fs::remove_dir_all(data);
    fs::create_dir_all(data)?;
    let file = data.with_extension("password");
    fs::File::create(&file)?.write_all(password.as_bytes())?;
    give_to_nobody(&[data, &file])?;
    restrict(&file)?;
    let mut initdb = as_nobody(tools.postgres.join("initdb"));
    initdb
        .arg("-D")
        .arg(data)
        .args([
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-A",
            "scram-sha-256",
        ])
        .arg(format!("--pwfile={}", file.display()))
        .current_dir("/");
    let done = run_quiet("initdb", &mut initdb).context("PostgreSQL's data could not be made");
    fs::remove_file(&file)?;
    done
}
