//! Distribution of the tables over the nodes of a Citus cluster: what belongs to a tenant by tenant, what is looked up before
//! the tenant is known onto every node.

use diesel::{
    QueryableByName,
    sql_types::{Array, Bool, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};

use crate::{Connector, Error, Result};

/// Tables that are read before the tenant is known, or that tenants' tables refer to: each node has them whole.
const REFERENCE: [&str; 4] = ["tenants", "api_keys", "phone_numbers", "rooms"];
/// Tables of the installation's own work, which stay where they are. They are joined with each other only.
const LOCAL: [&str; 6] = [
    "__diesel_schema_migrations",
    "ingest_turns",
    "jobs",
    "sip_objects",
    "webhook_events",
    "workers",
];
/// What sends `SET LOCAL` to the other nodes too: row-level security reads the tenant from such a setting.
const PROPAGATE: &str = "citus.propagate_set_commands";

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// A table that is not distributed yet.
#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
    /// Whether it has a column `tenant_id` without nulls.
    #[diesel(sql_type = Bool)]
    has_tenant: bool,
    /// Unique indexes without that column.
    #[diesel(sql_type = Array<Text>)]
    global_indexes: Vec<String>,
}

/// A foreign key: a table must not have one to a table that is distributed otherwise.
#[derive(QueryableByName)]
struct ForeignKey {
    #[diesel(sql_type = Text)]
    of: String,
    #[diesel(sql_type = Text)]
    to: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    definition: String,
    /// Whether it contains the tenant on both sides.
    #[diesel(sql_type = Bool)]
    has_tenant: bool,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Distributes the tables that are not distributed yet, all or none; returns their names.
pub async fn run(owner_url: &str) -> Result<Vec<String>> {
    let connector = Connector::new(owner_url)?;
    connector.require_direct().await?;
    let mut owner = connector.connect().await?;
    require_citus(&mut owner).await?;
    // Statements on many shards of several tables must follow one another.
    let begin = "BEGIN; SELECT pg_advisory_xact_lock(4872, hashtext(current_schema()));
                 SET LOCAL citus.multi_shard_modify_mode = 'sequential'";
    owner.batch_execute(begin).await?;
    let tables = undistributed(&mut owner).await?;
    let keys = foreign_keys(&mut owner, &tables).await?;
    check(&tables, &keys)?;
    distribute(&mut owner, &tables, &keys).await?;
    owner.batch_execute("COMMIT").await?;
    Ok(tables.into_iter().map(|table| table.name).collect())
}

/// Distributes these tables. Their foreign keys are dropped first and added again afterwards, because a table with one to a
/// table of another kind cannot be distributed.
async fn distribute(
    owner: &mut AsyncPgConnection,
    tables: &[Table],
    keys: &[ForeignKey],
) -> Result<()> {
    for ForeignKey { of, name, .. } in keys {
        let drop = format!("ALTER TABLE {of} DROP CONSTRAINT {name}");
        owner.batch_execute(&drop).await?;
    }
    // Reference tables come last: those that refer to one would become local.
    let (reference, distributed): (Vec<_>, Vec<_>) = tables.iter().partition(is_reference);
    let mut together = first_distributed(owner).await?;
    for Table { name, .. } in distributed {
        let with = together.as_deref().unwrap_or("none");
        let distribute = format!(
            "SELECT create_distributed_table('{name}', 'tenant_id', colocate_with => '{with}')"
        );
        owner.batch_execute(&distribute).await?;
        together.get_or_insert_with(|| name.clone());
    }
    for Table { name, .. } in reference {
        let refer = format!("SELECT create_reference_table('{name}')");
        owner.batch_execute(&refer).await?;
    }
    for ForeignKey {
        of,
        name,
        definition,
        ..
    } in keys
    {
        let add = format!("ALTER TABLE {of} ADD CONSTRAINT {name} {definition}");
        owner.batch_execute(&add).await?;
    }
    Ok(())
}

fn is_reference(table: &&Table) -> bool {
    REFERENCE.contains(&&*table.name)
}

/// Checks that the extension is there, and has the database send settings to the other nodes.
async fn require_citus(owner: &mut AsyncPgConnection) -> Result<()> {
    let extension = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') AS found";
    let extension: Found = diesel::sql_query(extension).get_result(owner).await?;
    if !extension.found {
        let why = "the extension citus does not exist; create it first, as a superuser: CREATE EXTENSION citus;";
        return Err(Error::Unfit(why.to_owned()));
    }
    let setting = format!("SELECT current_setting('{PROPAGATE}') = 'local' AS found");
    let setting: Found = diesel::sql_query(setting).get_result(owner).await?;
    if !setting.found {
        let set = format!(
            "DO $$ BEGIN
                 EXECUTE format('ALTER DATABASE %I SET {PROPAGATE} = ''local''', current_database());
             END $$"
        );
        owner.batch_execute(&set).await?;
    }
    Ok(())
}

/// The tables that are to be distributed, or to be on each node, and are not.
async fn undistributed(owner: &mut AsyncPgConnection) -> Result<Vec<Table>> {
    // Tables of which Citus knows without distributing them have another replication model.
    let tables = "
        SELECT c.relname::text AS name,
               EXISTS (SELECT FROM pg_attribute a
                       WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull) AS has_tenant,
               ARRAY(SELECT i.indexrelid::regclass::text FROM pg_index i
                     WHERE i.indrelid = c.oid AND i.indisunique AND NOT EXISTS (
                         SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                                                      AND a.attnum = ANY (i.indkey::int2[]))) AS global_indexes
        FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname <> ALL ($1)
          AND NOT EXISTS (SELECT FROM pg_dist_partition p
                          WHERE p.logicalrelid = c.oid AND (p.partmethod = 'h' OR p.repmodel = 't'))
        ORDER BY name";
    let tables = diesel::sql_query(tables).bind::<Array<Text>, _>(LOCAL.to_vec());
    Ok(tables.load(owner).await?)
}

/// The foreign keys of these tables and to them.
async fn foreign_keys(owner: &mut AsyncPgConnection, tables: &[Table]) -> Result<Vec<ForeignKey>> {
    let names: Vec<_> = tables.iter().map(|table| &*table.name).collect();
    let keys = "
        SELECT r.relname::text AS of, f.relname::text AS to, c.conname::text AS name,
               pg_get_constraintdef(c.oid) AS definition,
               EXISTS (SELECT FROM unnest(c.conkey, c.confkey) AS k(one, other)
                       JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = k.one
                       JOIN pg_attribute b ON b.attrelid = f.oid AND b.attnum = k.other
                       WHERE a.attname = 'tenant_id' AND b.attname = 'tenant_id') AS has_tenant
        FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_class f ON f.oid = c.confrelid
        WHERE c.contype = 'f' AND r.relnamespace = current_schema()::regnamespace
          AND (r.relname = ANY ($1) OR f.relname = ANY ($1))
        ORDER BY 1, 3";
    let keys = diesel::sql_query(keys).bind::<Array<Text>, _>(names);
    Ok(keys.load(owner).await?)
}

/// A table that is distributed already.
async fn first_distributed(owner: &mut AsyncPgConnection) -> Result<Option<String>> {
    let found = "SELECT c.relname::text AS name FROM pg_dist_partition p JOIN pg_class c ON c.oid = p.logicalrelid
                 WHERE c.relnamespace = current_schema()::regnamespace AND p.partmethod = 'h' ORDER BY 1 LIMIT 1";
    let found: Vec<Name> = diesel::sql_query(found).load(owner).await?;
    Ok(found.into_iter().next().map(|found| found.name))
}

/// Checks the rules that Citus has for keys, and names the table that breaks one.
fn check(tables: &[Table], keys: &[ForeignKey]) -> Result<()> {
    let unfit = |table: &str, why: &str| Err(Error::Unfit(format!("the table {table} {why}")));
    for table in tables.iter().filter(|table| !is_reference(table)) {
        if !table.has_tenant {
            return unfit(&table.name, "has no column tenant_id without nulls");
        }
        if let [index, ..] = &*table.global_indexes {
            return unfit(
                &table.name,
                &format!("has the unique index {index} without tenant_id"),
            );
        }
    }
    for key in keys {
        let is_to_reference = REFERENCE.contains(&&*key.to);
        let is_of_reference = REFERENCE.contains(&&*key.of);
        let is_local = [&key.of, &key.to].map(|name| LOCAL.contains(&&**name));
        let is_possible =
            is_local == [false, false] && (is_to_reference || (key.has_tenant && !is_of_reference));
        if !is_possible {
            let why = format!(
                "has the foreign key {} without tenant_id on both sides, or to a table of another kind",
                key.name
            );
            return unfit(&key.of, &why);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, has_tenant: bool, global_index: Option<&str>) -> Table {
        Table {
            name: name.to_owned(),
            has_tenant,
            global_indexes: global_index.into_iter().map(ToOwned::to_owned).collect(),
        }
    }

    fn key(of: &str, to: &str, has_tenant: bool) -> ForeignKey {
        ForeignKey {
            of: of.to_owned(),
            to: to.to_owned(),
            name: format!("{of}_{to}_fkey"),
            definition: String::new(),
            has_tenant,
        }
    }

    #[test]
    fn the_table_that_breaks_a_rule_is_named() {
        for (table, named) in [
            (table("notes", true, None), None),
            (table("tenants", false, Some("tenants_pkey")), None),
            (table("notes", false, None), Some("tenant_id without nulls")),
            (
                table("notes", true, Some("notes_number_key")),
                Some("notes_number_key"),
            ),
        ] {
            check_one(check(&[table], &[]), named, "notes");
        }
        for (key, named) in [
            (key("notes", "sessions", true), None),
            (key("notes", "tenants", false), None),
            (key("api_keys", "tenants", false), None),
            (key("notes", "sessions", false), Some("notes_sessions_fkey")),
            (key("notes", "jobs", true), Some("notes_jobs_fkey")),
            (key("rooms", "sessions", true), Some("rooms_sessions_fkey")),
        ] {
            let of = key.of.clone();
            check_one(check(&[], &[key]), named, &of);
        }
    }

    fn check_one(outcome: Result<()>, named: Option<&str>, table: &str) {
        let error = outcome.err().map(|error| error.to_string());
        match named {
            None => assert_eq!(error, None),
            Some(named) => {
                let error = error.unwrap();
                assert!(error.starts_with(&format!("the table {table} ")), "{error}");
                assert!(error.contains(named), "{error}");
            }
        }
    }
}
