//! A transaction that stays open: what it reads is what a dump of its snapshot holds.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::tools::Tools;

/// A digest of the rows of each table.
pub const ROWS: &str = r"
    SELECT format('SELECT %L, count(*), md5(string_agg(md5(t::text), '''' ORDER BY md5(t::text))) FROM %I t', relname, relname)
    FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname \gexec";
/// Tables, row-level security, grants, policies, indexes, constraints, functions and the two roles.
pub const CATALOGUE: &str = "
    SELECT 'relation', relname, relkind, pg_get_userbyid(relowner), relrowsecurity, relforcerowsecurity
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i', 'S', 'v') ORDER BY relname;
    SELECT 'grant', relname, pg_get_userbyid(grantee), privilege_type FROM pg_class, aclexplode(relacl)
    WHERE relnamespace = 'public'::regnamespace ORDER BY 2, 3, 4;
    SELECT 'grant', attrelid::regclass, attname, pg_get_userbyid(grantee), privilege_type
    FROM pg_attribute, aclexplode(attacl) WHERE attrelid > 16383 ORDER BY 2, 3, 4, 5;
    SELECT 'policy', tablename, policyname, cmd, roles, qual, with_check FROM pg_policies ORDER BY 2, 3;
    SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 2;
    SELECT 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 2, 3;
    SELECT 'function', proname, md5(pg_get_functiondef(oid)), proacl
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' ORDER BY 2, 3;
    SELECT 'role', rolname, rolsuper, rolbypassrls, rolcanlogin
    FROM pg_roles WHERE rolname IN ('patchbay_app', 'patchbay_owner') ORDER BY 2;";

/// The open transaction.
pub struct Snapshot {
    psql: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What `pg_dump --snapshot` wants.
    pub id: String,
}

impl Snapshot {
    /// Opens the transaction.
    pub fn open(tools: &Tools, url: &str) -> Result<Self> {
        let mut psql = Command::new(tools.postgres.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (psql.stdin.take(), psql.stdout.take());
        let mut opened = Self {
            input: input.context("psql has no input")?,
            output: BufReader::new(output.context("psql has no output")?),
            psql,
            id: String::new(),
        };
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_export_snapshot();";
        opened.id = opened.rows(begin)?.pop().context("no snapshot")?;
        Ok(opened)
    }

    /// The rows of these statements, each as its columns with `|` between them.
    pub fn rows(&mut self, statements: &str) -> Result<Vec<String>> {
        const END: &str = "the end of the rows";
        writeln!(self.input, "{statements}\n\\echo {END}")?;
        let mut rows = Vec::new();
        for line in (&mut self.output).lines() {
            match line? {
                line if line == END => return Ok(rows),
                line => rows.push(line),
            }
        }
        bail!("psql has ended; its error is above")
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}
