//! Migrations, embedded in the binary. They run as the owner role.

use std::{collections::BTreeSet, time::Duration};

use diesel::{
    QueryDsl as _, QueryableByName,
    migration::{Migration, MigrationSource as _},
    pg::Pg,
    sql_types::Bool,
};
use diesel_async::{
    AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use crate::{Connector, Db, Error, Result, schema::__diesel_schema_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");
/// The role that the migrations grant to.
pub const APPLICATION_ROLE: &str = "patchbay_app";

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// How often a migration is tried that waits for a table which others hold.
const TRIES: usize = 20;
/// Pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// PostgreSQL's message for a statement that `lock_timeout` has ended.
const LOCK_TIMEOUT: &str = "lock timeout";

/// Runs pending migrations, one process at a time; returns their names.
///
/// A statement that needs a table for itself waits for two seconds and then makes way, since requests wait behind it; it is
/// tried again.
pub async fn run(owner_url: &str) -> Result<Vec<String>> {
    let connector = Connector::new(owner_url)?;
    connector.require_direct().await?;
    let mut connection = connector.connect().await?;
    require_all(&mut connection).await?;
    let lock = "SET statement_timeout = 0; SET lock_timeout = '30min';
                SELECT pg_advisory_lock(4872, hashtext(current_schema())); SET lock_timeout = '2s'";
    connection.batch_execute(lock).await?;
    let mut harness = AsyncMigrationHarness::new(connection);
    let done = run_pending(&mut harness).await;
    // PostgreSQL may need a while to notice that the connection is closed.
    let unlock = "SELECT pg_advisory_unlock_all()";
    let unlocked = harness.into_inner().batch_execute(unlock).await;
    let done = done?;
    unlocked?;
    Ok(done)
}

async fn run_pending(
    harness: &mut AsyncMigrationHarness<AsyncPgConnection>,
) -> Result<Vec<String>> {
    let pending = harness.pending_migrations(MIGRATIONS).map_err(failed)?;
    let mut done = Vec::new();
    for migration in &pending {
        let mut tries = 1;
        while let Err(error) = harness.run_migration(migration) {
            if tries == TRIES || !error.to_string().contains(LOCK_TIMEOUT) {
                return Err(failed(error));
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
        done.push(migration.name().version().to_string());
    }
    Ok(done)
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Unfit(format!("migration failed: {error}"))
}

/// Checks that what only a superuser can create is there.
async fn require_all(connection: &mut AsyncPgConnection) -> Result<()> {
    let role = format!(
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '{APPLICATION_ROLE}') AS found"
    );
    let make = format!("CREATE ROLE {APPLICATION_ROLE} LOGIN PASSWORD '…'");
    require(connection, role, ("the role patchbay_app", &make)).await?;
    // Iterative index scans need 0.8.
    let vector = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector'
            AND string_to_array(extversion, '.')::int[] >= ARRAY[0, 8]) AS found";
    let make = "CREATE EXTENSION vector; (or ALTER EXTENSION vector UPDATE;)";
    require(
        connection,
        vector.to_owned(),
        ("the extension vector (pgvector), 0.8 or newer,", make),
    )
    .await
}

/// Fails if an extension is missing that only a superuser can create.
async fn require(
    connection: &mut AsyncPgConnection,
    is_there: String,
    (what, make): (&str, &str),
) -> Result<()> {
    let outcome: Found = diesel::sql_query(is_there).get_result(connection).await?;
    if outcome.found {
        return Ok(());
    }
    Err(Error::Unfit(format!(
        "{what} does not exist; create it first, as a superuser: {make}"
    )))
}

/// The name of the newest embedded migration.
pub fn newest() -> String {
    let all: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().unwrap_or_default();
    let names = all.iter().map(|migration| migration.name().to_string());
    names.max().unwrap_or_default()
}

/// The embedded migrations that have not been run.
pub async fn pending(db: &Db) -> Result<Vec<String>> {
    let mut connection = db.connection().await?;
    let seen: Vec<String> = __diesel_schema_migrations::table
        .select(__diesel_schema_migrations::version)
        .load(&mut connection)
        .await?;
    let seen: BTreeSet<_> = seen.into_iter().collect();
    let all: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS
        .migrations()
        .map_err(|error| Error::Unavailable(error.to_string()))?;
    let names = all
        .iter()
        .map(|migration| migration.name().version().to_string());
    Ok(names.filter(|version| !seen.contains(version)).collect())
}
