//! A backup as operators make it: a dump of the database under load, and then a copy of the object store.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::snapshot::{CATALOGUE, ROWS, Snapshot};
use crate::{dev::Running, process::run_quiet, tools::Tools};

/// A backup, and what the database held at its moment.
pub struct Backup {
    dump: PathBuf,
    /// The copy of the object store.
    pub objects: PathBuf,
    /// A digest of each table.
    pub rows: Vec<String>,
    /// Definitions, grants and policies.
    pub catalogue: Vec<String>,
    /// Ids of the sessions that were live.
    pub live: Vec<String>,
    /// Id and SHA-256 of each file.
    pub files: Vec<(String, String)>,
    /// How long the dump took.
    pub dumped: Duration,
    /// How long the copy took.
    pub copied: Duration,
}

impl Backup {
    /// Dumps the database, runs `between`, and copies the object store.
    pub fn take(
        tools: &Tools,
        running: &Running,
        between: impl FnOnce() -> Result<()>,
    ) -> Result<Self> {
        let superuser = running.stack.superuser_url.as_deref();
        let superuser =
            superuser.context("DATABASE_URL is set: the drill needs a PostgreSQL of its own")?;
        refuse_owner(tools, &running.stack.database_owner_url)?;
        let role = create_role(tools, superuser)?;
        let mut snapshot = Snapshot::open(tools, superuser)?;
        let folder = &running.stack.folder;
        let files = snapshot.rows("SELECT id, encode(sha256, 'hex') FROM files;")?;
        let files = files.iter().filter_map(|row| row.split_once('|'));
        let mut backup = Self {
            dump: folder.join("backup.dump"),
            objects: folder.join("backup-objects"),
            rows: snapshot.rows(ROWS)?,
            catalogue: snapshot.rows(CATALOGUE)?,
            live: snapshot.rows(
                "SELECT id FROM sessions WHERE state IN ('starting', 'running', 'stopping');",
            )?,
            files: files
                .map(|(id, digest)| (id.to_owned(), digest.to_owned()))
                .collect(),
            dumped: Duration::ZERO,
            copied: Duration::ZERO,
        };
        let started = Instant::now();
        let mut dump = Command::new(tools.postgres.join("pg_dump"));
        dump.args(["-Fc", "-d", &role, "--snapshot", &snapshot.id, "-f"]);
        run_quiet("pg_dump", dump.arg(&backup.dump))?;
        backup.dumped = started.elapsed();
        between()?;
        let started = Instant::now();
        copy(&folder.join("objects"), &backup.objects)?;
        backup.copied = started.elapsed();
        Ok(backup)
    }

    /// Restores the dump into a database that has its roles and nothing else.
    pub fn restore(&self, tools: &Tools, superuser: &str) -> Result<()> {
        let mut restore = Command::new(tools.postgres.join("pg_restore"));
        restore
            .args(["--exit-on-error", "-d", superuser])
            .arg(&self.dump);
        run_quiet("pg_restore", &mut restore)
    }

    /// Fails unless the database holds what the dump was made of: every row of every table, and every definition.
    pub fn require_equal(&self, tools: &Tools, superuser: &str) -> Result<()> {
        let mut restored = Snapshot::open(tools, superuser)?;
        for (statements, expected) in [(ROWS, &self.rows), (CATALOGUE, &self.catalogue)] {
            let found = restored.rows(statements)?;
            let missing: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
            let new: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
            ensure!(
                missing.is_empty() && new.is_empty(),
                "{missing:?} has become {new:?}"
            );
        }
        Ok(())
    }
}

/// The owner may not dump: row-level security is forced upon it too, and pg_dump refuses to leave rows out.
fn refuse_owner(tools: &Tools, owner: &str) -> Result<()> {
    let mut dump = Command::new(tools.postgres.join("pg_dump"));
    let output = dump.args(["-d", owner]).output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && words.contains("row-level security"),
        "a dump as the owner does not fail as it should: {words}"
    );
    Ok(())
}

/// Creates the role that may dump; returns its URL.
fn create_role(tools: &Tools, superuser: &str) -> Result<String> {
    let role = superuser.replacen("://postgres:", "://patchbay_backup:", 1);
    let password = role.split(['@', ':']).nth(2).context("no password")?;
    let create = format!(
        "CREATE ROLE patchbay_backup LOGIN BYPASSRLS PASSWORD '{password}'; GRANT pg_read_all_data TO patchbay_backup"
    );
    tools.psql(superuser, &create)?;
    Ok(role)
}

/// Copies a folder. What vanishes meanwhile is an upload that has just got its name, or was deleted.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let copied = match entry.file_type()?.is_dir() {
            true => copy(&source, &target),
            false => fs::copy(&source, &target).map(drop).map_err(Into::into),
        };
        let vanished = |error: &anyhow::Error| {
            let error = error.downcast_ref::<std::io::Error>();
            error.is_some_and(|error| error.kind() == ErrorKind::NotFound)
        };
        match copied {
            Err(error) if vanished(&error) => {}
            copied => copied?,
        }
    }
    Ok(())
}
