//! Search in chunks: semantic, by keywords, or hybrid; deterministic for the same data and query.
//!
//! A semantic search compares every candidate, which is exact. Only if there are very many, and they are most of
//! the tenant's chunks, it uses the tenant's HNSW index.

mod statement;

use diesel::{
    OptionalExtension as _, QueryableByName,
    sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use patchbay_domain::{
    AgentId, FileId,
    knowledge::{Embedding, SearchMode},
};
use serde_json::Value;

use self::statement::Near;
use crate::{
    Result, TenantTx,
    chunks::tenant_word,
    prepared::Prepare as _,
    vector::{Half, HalfVec},
};

/// Before a matched word in marked text.
pub const MARK: char = '\u{2}';
/// After a matched word.
pub const UNMARK: char = '\u{3}';
/// Candidates of each kind for one hit of the result.
const POOL: i64 = 4;
/// Minimum candidates from the index.
const OVERSAMPLED: i64 = 200;
/// Minimum and maximum of `hnsw.ef_search`.
const EF_SEARCH: (i64, i64) = (600, 1000);
/// A filter that leaves less than one in this many chunks is faster, and exact, without the index.
const SELECTIVE: i64 = 4;

/// A search.
#[derive(Clone, Debug)]
pub struct Search {
    /// Its mode.
    pub mode: SearchMode,
    /// The query text.
    pub query: String,
    /// Embedding of the query; not needed for keyword search.
    pub embedding: Option<Embedding>,
    /// The model of the embedding.
    pub model: String,
    /// PostgreSQL's text search configuration.
    pub language: String,
    /// Only files of this agent.
    pub agent_id: Option<AgentId>,
    /// Only these files.
    pub file_ids: Option<Vec<FileId>>,
    /// Only files whose metadata contain all of this.
    pub metadata: Option<Value>,
    /// Maximum hits.
    pub limit: i64,
    /// Lowest score.
    pub min_score: f64,
    /// Whether matched words are marked.
    pub highlight: bool,
    /// Whether the tenant has an index, from [`load_context`].
    pub is_indexed: bool,
    /// Up to this number of chunks, the search is exact.
    pub exact_most: i64,
    /// Maximum number of index entries that are visited.
    pub max_scan: i64,
}

/// What a search depends on.
#[derive(Clone, Debug, QueryableByName)]
pub struct SearchContext {
    /// The tenant's settings.
    #[diesel(sql_type = Jsonb)]
    pub settings: Value,
    /// Whether the tenant has an index of the model's embeddings.
    #[diesel(sql_type = Bool)]
    pub is_indexed: bool,
}

/// Numbers of candidates and of all chunks.
#[derive(QueryableByName)]
struct Amounts {
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = BigInt)]
    everything: i64,
}

/// A hit, or a row with only the numbers if there is none.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Row {
    #[diesel(sql_type = BigInt)]
    pub total: i64,
    /// Candidates from the index before any filter, if it was used.
    #[diesel(sql_type = Nullable<BigInt>)]
    nearest: Option<i64>,
    #[diesel(sql_type = Nullable<Double>)]
    pub score: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    pub semantic: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    pub keyword: Option<f64>,
    #[diesel(embed)]
    pub chunk: Option<Found>,
    #[diesel(sql_type = Nullable<Text>)]
    pub marked: Option<String>,
}

/// A hit.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Found {
    #[diesel(sql_type = SqlUuid)]
    pub file_id: FileId,
    #[diesel(sql_type = Text)]
    pub file_name: String,
    #[diesel(sql_type = Integer)]
    pub generation: i32,
    #[diesel(sql_type = Integer)]
    pub ordinal: i32,
    #[diesel(sql_type = Nullable<Integer>)]
    pub page: Option<i32>,
    #[diesel(sql_type = Array<Text>)]
    pub headings: Vec<String>,
    #[diesel(sql_type = Integer)]
    pub starts_at: i32,
    #[diesel(sql_type = Integer)]
    pub ends_at: i32,
    #[diesel(sql_type = Text)]
    pub text: String,
}

/// Reads the tenant's settings and whether it has an index for this model.
pub async fn load_context(tx: &mut TenantTx, model: &str) -> Result<Option<SearchContext>> {
    Ok(diesel::sql_query(statement::context())
        .bind::<SqlUuid, _>(tx.tenant())
        .bind::<Text, _>(model)
        .prepared()
        .get_result(tx)
        .await
        .optional()?)
}

/// The hits, best first; equal scores in the order of file and ordinal.
pub async fn search(tx: &mut TenantTx, search: &Search) -> Result<Vec<Row>> {
    let near = near(tx, search).await?;
    let rows: Vec<Row> = load(tx, search, near.as_ref(), "").await?;
    // An index scan may end early if the filters exclude most of its rows.
    let gave_up = |row: &Row| {
        let wanted = search.pool().min(row.total);
        row.nearest.is_some_and(|nearest| nearest < wanted)
    };
    match rows.iter().any(gave_up) {
        true => load(tx, search, None, "").await,
        false => Ok(rows),
    }
}

/// PostgreSQL's query plan, line by line.
pub async fn plan(tx: &mut TenantTx, search: &Search) -> Result<Vec<String>> {
    let near = near(tx, search).await?;
    let rows: Vec<PlanRow> = load(tx, search, near.as_ref(), "EXPLAIN (COSTS OFF) ").await?;
    Ok(rows.into_iter().map(|row| row.text).collect())
}

#[derive(QueryableByName)]
struct PlanRow {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    text: String,
}

impl Search {
    /// Candidates of each kind.
    fn pool(&self) -> i64 {
        (self.limit * POOL).max(50)
    }
}

/// The index of the tenant, if it exists and is worth using.
async fn near(tx: &mut TenantTx, search: &Search) -> Result<Option<Near>> {
    let Some(embedding) = search.embedding.as_ref().filter(|_| search.is_indexed) else {
        return Ok(None);
    };
    let oversampled = (search.pool() * 2).max(OVERSAMPLED);
    let ef_search = (oversampled * 2).clamp(EF_SEARCH.0, EF_SEARCH.1);
    let amounts: Amounts = diesel::sql_query(statement::amounts())
        .bind::<SqlUuid, _>(tx.tenant())
        .bind::<Nullable<Array<SqlUuid>>, _>(&search.file_ids)
        .bind::<Nullable<SqlUuid>, _>(search.agent_id)
        .bind::<Nullable<Jsonb>, _>(&search.metadata)
        .bind::<Text, _>(&search.model)
        .bind::<BigInt, _>(ef_search)
        .bind::<BigInt, _>(search.max_scan)
        .get_result(tx)
        .await?;
    let is_worth_it = amounts.total > search.exact_most
        && amounts.total.saturating_mul(SELECTIVE) > amounts.everything;
    Ok(is_worth_it.then(|| Near {
        tenant: tx.tenant(),
        model: search.model.clone(),
        dimensions: embedding.0.len(),
        oversampled,
    }))
}

async fn load<T>(
    tx: &mut TenantTx,
    search: &Search,
    near: Option<&Near>,
    before: &str,
) -> Result<Vec<T>>
where
    T: QueryableByName<diesel::pg::Pg> + Send + 'static,
{
    let statement = statement::search(search.mode, &search.query, near);
    let embedding = search.embedding.as_ref().map(Half::from);
    Ok(diesel::sql_query(format!("{before}{statement}"))
        .bind::<SqlUuid, _>(tx.tenant())
        .bind::<Nullable<Array<SqlUuid>>, _>(&search.file_ids)
        .bind::<Nullable<SqlUuid>, _>(search.agent_id)
        .bind::<Nullable<Jsonb>, _>(&search.metadata)
        .bind::<Text, _>(&search.model)
        .bind::<Nullable<HalfVec>, _>(embedding)
        .bind::<BigInt, _>(search.pool())
        .bind::<Text, _>(&search.language)
        .bind::<Text, _>(&search.query)
        .bind::<Text, _>(format!("'{}'", tenant_word(tx.tenant())))
        .bind::<Double, _>(search.min_score)
        .bind::<BigInt, _>(search.limit)
        .bind::<Bool, _>(search.highlight)
        .load(tx)
        .await?)
}
