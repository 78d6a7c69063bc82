//! PgBouncer in front of the PostgreSQL of the tests, in transaction mode.

use std::{env, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{
    postgres::{as_nobody, give_to_nobody},
    process::{Server, find, free_port, wait_for},
    secrets::restrict,
    stack::{Stack, listens},
    tools::Tools,
};

/// The variable with the URL of a given one.
const VARIABLE: &str = "PATCHBAY_TEST_PGBOUNCER_URL";
/// How to get one.
pub const MISSING: &str =
    "no PgBouncer 1.21 or newer is on PATH, and PATCHBAY_TEST_PGBOUNCER_URL names none";
const PATIENCE: Duration = Duration::from_secs(20);
/// The first version that supports prepared statements in transaction mode.
const FIRST: (u32, u32) = (1, 21);

/// A PgBouncer, stopped on drop unless it was given.
pub struct PgBouncer {
    /// Its URL, for the application role.
    pub url: String,
    _server: Option<Server>,
}

/// Whether one is given or on PATH.
pub fn is_there() -> bool {
    given().is_some() || version().is_some_and(|version| version >= FIRST)
}

fn given() -> Option<String> {
    env::var(VARIABLE).ok().filter(|url| !url.is_empty())
}

/// Version of the program on PATH.
fn version() -> Option<(u32, u32)> {
    let output = Command::new(find("pgbouncer")?)
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().nth(1)?;
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The given one, or one in front of the stack's PostgreSQL.
pub fn start(tools: &Tools, stack: &Stack, folder: &Path) -> Result<PgBouncer> {
    let pgbouncer = match given() {
        Some(url) => PgBouncer { url, _server: None },
        None => start_own(stack, folder)?,
    };
    // Every test has a schema of its own, which is named when it connects.
    let url = format!("{}?options=-csearch_path%3Dpg_catalog", pgbouncer.url);
    let path = tools.psql(&url, "SHOW search_path");
    let path = path.with_context(|| {
        format!("PgBouncer needs track_extra_parameters = search_path ({VARIABLE})")
    })?;
    ensure!(
        path.trim() == "pg_catalog",
        "PgBouncer ignores the search_path of connections: remove `options` from ignore_startup_parameters, and set \
         track_extra_parameters = search_path; PostgreSQL must be 18 or newer ({VARIABLE})"
    );
    Ok(pgbouncer)
}

fn start_own(stack: &Stack, folder: &Path) -> Result<PgBouncer> {
    let port = free_port("PgBouncer", 0)?;
    let (credentials, server) = stack.database_url["postgres://".len()..]
        .split_once('@')
        .context("DATABASE_URL has no password")?;
    let (user, password) = credentials
        .split_once(':')
        .context("DATABASE_URL has no password")?;
    let (host, database) = server
        .split_once('/')
        .context("DATABASE_URL has no database")?;
    let (host, server_port) = host.split_once(':').unwrap_or((host, "5432"));
    let users = folder.join("pgbouncer.users");
    fs::write(&users, format!("\"{user}\" \"{password}\"\n"))?;
    let settings = folder.join("pgbouncer.ini");
    fs::write(
        &settings,
        format!(
            "[databases]\n{database} = host={host} port={server_port}\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 20\n\
             max_client_conn = 2000\nmax_prepared_statements = 200\ntrack_extra_parameters = IntervalStyle, search_path\n",
            users.display()
        ),
    )?;
    for file in [&users, &settings] {
        restrict(file)?;
    }
    let log = folder.join("pgbouncer.log");
    let program = find("pgbouncer").context(MISSING)?;
    let mut command = as_nobody(program);
    command.arg(&settings);
    give_to_nobody(&[&users, &settings])?;
    let mut server = Server::start("PgBouncer", &mut command, &log)?;
    wait_for("PgBouncer", PATIENCE, &log, &mut server, || listens(port))?;
    Ok(PgBouncer {
        url: format!("postgres://{credentials}@127.0.0.1:{port}/{database}"),
        _server: Some(server),
    })
}
