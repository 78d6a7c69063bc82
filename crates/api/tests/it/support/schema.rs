//! A schema for every test: one is migrated, and the others are replayed from its dump.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use patchbay_persistence::{distribute, migrations};
use tokio::sync::OnceCell;

use super::{environment, in_schema, install_crypto, optional};

/// The migrated schema's name, and the statements that make it.
struct Template {
    name: String,
    statements: String,
}

/// A new schema with all migrations in it.
pub async fn make_schema() -> String {
    static TEMPLATE: OnceCell<Template> = OnceCell::const_new();
    install_crypto();
    let template = TEMPLATE.get_or_init(migrate).await;
    let schema = unique();
    let statements = template.statements.replace(&template.name, &schema);
    owner().await.batch_execute(&statements).await.unwrap();
    if optional("DISTRIBUTED").is_some() {
        let url = in_schema(&environment("DATABASE_OWNER_URL"), &schema);
        distribute::run(&url).await.unwrap();
    }
    schema
}

async fn owner() -> AsyncPgConnection {
    let url = environment("DATABASE_OWNER_URL");
    AsyncPgConnection::establish(&url).await.unwrap()
}

async fn migrate() -> Template {
    let name = unique();
    let grants = "GRANT USAGE ON SCHEMA";
    let create = format!("CREATE SCHEMA {name}; {grants} {name} TO patchbay_app");
    owner().await.batch_execute(&create).await.unwrap();
    let url = environment("DATABASE_OWNER_URL");
    migrations::run(&in_schema(&url, &name)).await.unwrap();
    let statements = dump(&url, &name);
    Template { name, statements }
}

/// The schema with its rows, as SQL alone: lines that begin with a backslash are psql's own, and an older server does not know
/// a setting of the newest one.
fn dump(url: &str, schema: &str) -> String {
    let output = Command::new(environment("PG_DUMP"))
        .args([
            "--inserts",
            // Row-level security is forced on the owner too; the rows that it hides are none.
            "--enable-row-security",
            "--no-owner",
            "--schema",
            schema,
            "--dbname",
            url,
        ])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pg_dump: {errors}");
    let dump = String::from_utf8(output.stdout).unwrap();
    let foreign = ["\\", "SET transaction_timeout"];
    let lines = dump.lines();
    let lines = lines.filter(|line| !foreign.iter().any(|start| line.starts_with(start)));
    lines.collect::<Vec<_>>().join("\n")
}

fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    // A name that is no part of another one: they are told apart by their ends, too.
    format!(
        "t{}x{}x{next}z",
        now.as_millis() % 1_000_000_000,
        std::process::id()
    )
}
