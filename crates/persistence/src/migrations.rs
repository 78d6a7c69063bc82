//! Migrations, embedded in the binary. They run as the owner role.

use std::collections::BTreeSet;

use diesel::{
    QueryDsl as _, QueryableByName,
    migration::{Migration, MigrationSource as _},
    pg::Pg,
    sql_types::Bool,
};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl};
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

/// Runs pending migrations; returns their names.
pub async fn run(owner_url: &str) -> Result<Vec<String>> {
    let mut connection = Connector::new(owner_url)?.connect().await?;
    let role = format!(
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '{APPLICATION_ROLE}') AS found"
    );
    let make = format!("CREATE ROLE {APPLICATION_ROLE} LOGIN PASSWORD '…'");
    require(&mut connection, role, ("the role patchbay_app", &make)).await?;
    // Iterative index scans need 0.8.
    let vector = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector'
            AND string_to_array(extversion, '.')::int[] >= ARRAY[0, 8]) AS found";
    let make = "CREATE EXTENSION vector; (or ALTER EXTENSION vector UPDATE;)";
    require(
        &mut connection,
        vector.to_owned(),
        ("the extension vector (pgvector), 0.8 or newer,", make),
    )
    .await?;
    let mut harness = AsyncMigrationHarness::new(connection);
    let done = harness
        .run_pending_migrations(MIGRATIONS)
        .map_err(|error| Error::Unfit(format!("migration failed: {error}")))?;
    Ok(done.iter().map(ToString::to_string).collect())
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
