//! HNSW indexes of tenants that have many chunks, one for each: in one that all share, a search of
//! one tenant would mostly meet chunks of others, and miss its own.
//!
//! The owner makes and drops them; searches use those that are there.

use diesel::{
    OptionalExtension as _, QueryableByName,
    sql_types::{BigInt, Bool, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{
    AsyncConnection as _, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _,
};
use patchbay_domain::TenantId;

use crate::{Error, Result, TenantTx};

/// Before the tenant's id in the name of its index.
const PREFIX: &str = "chunks_hnsw_";
/// Most dimensions that pgvector indexes at half precision.
const MOST_DIMENSIONS: i32 = 4000;
/// Bytes that a chunk takes while its index is built, beside those of its embedding.
const BYTES_BESIDE: i64 = 500;
/// Memory for the build of one index, in kB, at least and at most.
const MEMORY: (i64, i64) = (65_536, 4_194_304);

/// The name of a tenant's index.
pub(crate) fn name(tenant: TenantId) -> String {
    format!("{PREFIX}{}", tenant.uuid().simple())
}

/// Text as SQL writes it.
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
    dimensions: i32,
    #[diesel(sql_type = BigInt)]
    chunks: i64,
    /// Whether its index is there: null without one, false where it is of another model or broken.
    #[diesel(sql_type = Nullable<Bool>)]
    is_indexed: Option<bool>,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    chunks: i64,
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// What is done.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// An index is being made for this tenant, over so many chunks.
    Making(TenantId, i64),
    /// The index of this name was dropped.
    Dropped(String),
    /// This tenant's embeddings have more dimensions than can be indexed.
    TooWide(TenantId, i32),
}

/// How many chunks of this model the tenant's searches see, where these are more than `most` and have no
/// index.
pub async fn missing(tx: &mut TenantTx, model: &str, most: i64) -> Result<Option<i64>> {
    let wanting: Option<Count> = diesel::sql_query(format!(
        "SELECT sum(i.chunks)::bigint AS chunks FROM ingests i
         JOIN files f ON f.tenant_id = $1 AND f.id = i.file_id AND f.searchable_generation = i.generation
         WHERE i.tenant_id = $1 AND i.model = $2
           AND NOT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('{}') AND indisvalid)
         HAVING sum(i.chunks) > $3",
        name(tx.tenant())
    ))
    .bind::<SqlUuid, _>(tx.tenant())
    .bind::<Text, _>(model)
    .bind::<BigInt, _>(most)
    .get_result(tx)
    .await
    .optional()?;
    Ok(wanting.map(|wanting| wanting.chunks))
}

/// Makes the indexes of tenants with more than `most` chunks, and drops those of tenants with less than
/// half of it, of other models, and what an interrupted build has left. `tell` hears of each step.
///
/// Searches and ingests go on meanwhile.
pub async fn maintain(owner_url: &str, most: i64, mut tell: impl FnMut(Step)) -> Result<()> {
    let mut owner = AsyncPgConnection::establish(owner_url)
        .await
        .map_err(|error| Error::Unavailable(error.to_string()))?;
    lock(&mut owner).await?;
    let groups = groups(&mut owner, most / 2).await?;
    for stale in stale(&mut owner, &groups).await? {
        let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {stale}");
        owner.batch_execute(&drop).await?;
        tell(Step::Dropped(stale));
    }
    for group in groups.iter().filter(|group| group.chunks > most) {
        if group.is_indexed == Some(true) {
            continue;
        }
        if group.dimensions > MOST_DIMENSIONS {
            tell(Step::TooWide(group.tenant_id, group.dimensions));
            continue;
        }
        tell(Step::Making(group.tenant_id, group.chunks));
        make(&mut owner, group).await?;
    }
    Ok(())
}

/// One at a time: held as long as the connection is.
async fn lock(owner: &mut AsyncPgConnection) -> Result<()> {
    let lock = "SELECT pg_try_advisory_lock(4872, 'chunks'::regclass::oid::integer) AS locked";
    let outcome: Locked = diesel::sql_query(lock).get_result(owner).await?;
    if outcome.locked {
        return Ok(());
    }
    let why = "another `patchbay-api index` is at work";
    Err(Error::Unfit(why.to_owned()))
}

/// What is worth an index, or worth keeping one: of each tenant the model with the most chunks.
async fn groups(owner: &mut AsyncPgConnection, least: i64) -> Result<Vec<Group>> {
    Ok(diesel::sql_query(format!(
        "SELECT DISTINCT ON (g.tenant_id) g.*,
                i.indisvalid AND position('model = ' || quote_literal(g.model) IN pg_get_expr(i.indpred, i.indrelid)) > 0
                    AS is_indexed
         FROM (SELECT tenant_id, model, max(vector_dims(embedding)) AS dimensions, count(*) AS chunks
               FROM chunks GROUP BY tenant_id, model HAVING count(*) > $1) AS g
         LEFT JOIN pg_index i ON i.indexrelid = to_regclass('{PREFIX}' || replace(g.tenant_id::text, '-', ''))
         ORDER BY g.tenant_id, g.chunks DESC, g.model"
    ))
    .bind::<BigInt, _>(least)
    .load(owner)
    .await?)
}

/// The indexes that are nobody's any more.
async fn stale(owner: &mut AsyncPgConnection, groups: &[Group]) -> Result<Vec<String>> {
    let names: Vec<Name> = diesel::sql_query(format!(
        "SELECT c.relname::text AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         WHERE i.indrelid = 'chunks'::regclass AND starts_with(c.relname::text, '{PREFIX}') ORDER BY 1"
    ))
    .load(owner)
    .await?;
    let current = groups.iter().filter(|group| group.is_indexed == Some(true));
    let current: Vec<_> = current.map(|group| name(group.tenant_id)).collect();
    let names = names.into_iter().map(|name| name.name);
    Ok(names.filter(|name| !current.contains(name)).collect())
}

async fn make(owner: &mut AsyncPgConnection, group: &Group) -> Result<()> {
    let Group {
        tenant_id,
        model,
        dimensions,
        chunks,
        ..
    } = group;
    let bytes = chunks * (i64::from(*dimensions) * 2 + BYTES_BESIDE);
    let memory = (bytes / 1024).clamp(MEMORY.0, MEMORY.1);
    let limits = format!(
        "SET statement_timeout = 0; SET lock_timeout = 0; SET maintenance_work_mem = '{memory}kB'"
    );
    owner.batch_execute(&limits).await?;
    let create = format!(
        "CREATE INDEX CONCURRENTLY {} ON chunks USING hnsw ((embedding::halfvec({dimensions})) halfvec_cosine_ops)
         WITH (m = 16, ef_construction = 128) WHERE tenant_id = '{}' AND model = {}",
        name(*tenant_id),
        tenant_id.uuid(),
        quoted(model),
    );
    owner.batch_execute(&create).await?;
    Ok(())
}
