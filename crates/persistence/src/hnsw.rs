//! HNSW indexes for tenants with many chunks, one for each tenant and model: a search in a shared index would
//! mostly visit other tenants' chunks, and miss its own.
//!
//! The database owner creates and drops them; searches use those that exist.

use std::collections::BTreeSet;

use diesel::{
    OptionalExtension as _, QueryableByName,
    sql_types::{BigInt, Bool, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};
use patchbay_domain::TenantId;

use crate::{Connector, Error, Result, TenantTx};

/// Prefix of the names of these indexes.
const PREFIX: &str = "chunks_hnsw_";
/// Maximum dimensions that pgvector indexes at half precision.
const MOST_DIMENSIONS: i32 = 4000;
/// Memory for each chunk during the build, in addition to its embedding.
const BYTES_BESIDE: i64 = 1800;
/// Minimum and maximum memory for the build of an index, in kB.
const MEMORY: (i64, i64) = (65_536, 4_194_304);

/// SQL for the name of the index of a tenant and a model, which are SQL expressions.
fn name(tenant: &str, model: &str) -> String {
    format!(
        "'{PREFIX}' || replace(({tenant})::text, '-', '') || '_' || left(encode(sha256(convert_to({model}, 'UTF8')), 'hex'), 8)"
    )
}

/// SQL for whether that index exists and is valid.
pub(crate) fn is_there(tenant: &str, model: &str) -> String {
    let name = name(tenant, model);
    format!("EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass({name}) AND indisvalid)")
}

/// Text as an SQL literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A tenant's chunks of one model.
#[derive(Clone, Debug, QueryableByName)]
struct Group {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: TenantId,
    #[diesel(sql_type = Text)]
    model: String,
    #[diesel(sql_type = Integer)]
    least_dimensions: i32,
    #[diesel(sql_type = Integer)]
    most_dimensions: i32,
    #[diesel(sql_type = BigInt)]
    chunks: i64,
    #[diesel(sql_type = Text)]
    index: String,
    #[diesel(sql_type = Bool)]
    is_indexed: bool,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    chunks: i64,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// A step of the maintenance.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// An index for this tenant is being built, over this number of chunks.
    Making(TenantId, i64),
    /// The index of this name was dropped.
    Dropped(String),
    /// The index for this tenant could not be built, and why.
    Failed(TenantId, String),
}

/// The number of the tenant's searchable chunks of this model, if there are more than `most` and no index.
pub async fn missing(tx: &mut TenantTx, model: &str, most: i64) -> Result<Option<i64>> {
    let wanting: Option<Count> = diesel::sql_query(format!(
        "SELECT sum(i.chunks)::bigint AS chunks FROM ingests i
         JOIN files f ON f.tenant_id = $1 AND f.id = i.file_id AND f.searchable_generation = i.generation
         WHERE i.tenant_id = $1 AND i.model = $2 AND NOT {}
         HAVING sum(i.chunks) > $3",
        is_there("$1", "$2")
    ))
    .bind::<SqlUuid, _>(tx.tenant())
    .bind::<Text, _>(model)
    .bind::<BigInt, _>(most)
    .get_result(tx)
    .await
    .optional()?;
    Ok(wanting.map(|wanting| wanting.chunks))
}

/// Creates indexes for tenants with more than `most` chunks of a model, and drops those with less than half of it
/// and the remains of interrupted builds. `report` is called for each step; a failure does not stop the others.
///
/// Searches and ingests continue meanwhile.
pub async fn maintain(owner_url: &str, most: i64, report: impl FnMut(Step)) -> Result<()> {
    let connector = Connector::new(owner_url)?;
    connector.require_direct().await?;
    let mut owner = connector.connect().await?;
    let patient = "SET statement_timeout = 0; SET lock_timeout = 0";
    owner.batch_execute(patient).await?;
    lock(&mut owner).await?;
    let outcome = renew(&mut owner, most, report).await;
    // PostgreSQL may need a while to notice that the connection is closed.
    owner
        .batch_execute("SELECT pg_advisory_unlock_all()")
        .await?;
    outcome
}

/// Drops what is not needed and makes what is missing.
async fn renew(
    owner: &mut AsyncPgConnection,
    most: i64,
    mut report: impl FnMut(Step),
) -> Result<()> {
    let groups = groups(owner, most / 2).await?;
    for stale in stale(owner, &groups).await? {
        let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {stale}");
        owner.batch_execute(&drop).await?;
        report(Step::Dropped(stale));
    }
    let wanting = |group: &&Group| group.chunks > most && !group.is_indexed;
    for group in groups.iter().filter(wanting) {
        report(Step::Making(group.tenant_id, group.chunks));
        if let Err(why) = make(owner, group).await {
            report(Step::Failed(group.tenant_id, why));
        }
    }
    Ok(())
}

/// Only one maintenance at a time: the lock is held as long as the connection, at most.
async fn lock(owner: &mut AsyncPgConnection) -> Result<()> {
    let lock = "SELECT pg_try_advisory_lock(4872, 'chunks'::regclass::oid::integer) AS locked";
    let outcome: Locked = diesel::sql_query(lock).get_result(owner).await?;
    if outcome.locked {
        return Ok(());
    }
    let why = "another `patchbay-api index` is at work";
    Err(Error::Unfit(why.to_owned()))
}

/// The groups that need an index, or may keep theirs.
async fn groups(owner: &mut AsyncPgConnection, least: i64) -> Result<Vec<Group>> {
    let (name, is_there) = (name("tenant_id", "model"), is_there("tenant_id", "model"));
    Ok(diesel::sql_query(format!(
        "SELECT *, {name} AS index, {is_there} AS is_indexed
         FROM (SELECT tenant_id, model, min(vector_dims(embedding)) AS least_dimensions,
                      max(vector_dims(embedding)) AS most_dimensions, count(*) AS chunks
               FROM chunks GROUP BY tenant_id, model HAVING count(*) > $1) AS many
         ORDER BY tenant_id, model"
    ))
    .bind::<BigInt, _>(least)
    .load(owner)
    .await?)
}

/// The indexes without such a group.
async fn stale(owner: &mut AsyncPgConnection, groups: &[Group]) -> Result<Vec<String>> {
    let names: Vec<Name> = diesel::sql_query(format!(
        "SELECT c.relname::text AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         WHERE i.indrelid = 'chunks'::regclass AND starts_with(c.relname::text, '{PREFIX}') ORDER BY 1"
    ))
    .load(owner)
    .await?;
    let current = groups.iter().filter(|group| group.is_indexed);
    let current: BTreeSet<_> = current.map(|group| &*group.index).collect();
    let names = names.into_iter().map(|name| name.name);
    Ok(names.filter(|name| !current.contains(&**name)).collect())
}

/// Creates an index; the error is a message for the operator.
async fn make(owner: &mut AsyncPgConnection, group: &Group) -> std::result::Result<(), String> {
    let Group {
        tenant_id,
        model,
        most_dimensions: dimensions,
        chunks,
        index,
        ..
    } = group;
    if group.least_dimensions != *dimensions {
        return Err(format!(
            "embeddings of model {model} have different numbers of dimensions: ingest the files again"
        ));
    }
    if *dimensions > MOST_DIMENSIONS {
        return Err(format!(
            "embeddings of {dimensions} dimensions; {MOST_DIMENSIONS} can be indexed"
        ));
    }
    let bytes = chunks * (i64::from(*dimensions) * 2 + BYTES_BESIDE);
    let memory = (bytes / 1024).clamp(MEMORY.0, MEMORY.1);
    let create = format!(
        "CREATE INDEX CONCURRENTLY {index} ON chunks USING hnsw ((embedding::halfvec({dimensions})) halfvec_cosine_ops)
         WITH (m = 48, ef_construction = 200) WHERE tenant_id = '{}' AND model = {}",
        tenant_id.uuid(),
        quoted(model),
    );
    // Parallel workers share memory, of which a container may have little; a single one needs none.
    let mut outcome = Ok(());
    for workers in [2, 0] {
        let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {index}");
        let limits = format!(
            "SET maintenance_work_mem = '{memory}kB'; SET max_parallel_maintenance_workers = {workers}"
        );
        outcome = async {
            owner.batch_execute(&drop).await?;
            owner.batch_execute(&limits).await?;
            owner.batch_execute(&create).await
        }
        .await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome.map_err(|error| error.to_string())
}
