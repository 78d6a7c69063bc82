//! Search in chunks: by meaning, by words, or both; one statement, and always the same order for the
//! same data and query.

use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use patchbay_domain::{
    AgentId, FileId,
    knowledge::{Embedding, SearchMode},
};
use serde_json::Value;

use crate::{
    Result, TenantTx,
    chunks::tenant_word,
    vector::{Half, HalfVec},
};

/// Before a word that was found, in a text with marks.
pub const MARK: char = '\u{2}';
/// Behind it.
pub const UNMARK: char = '\u{3}';
/// Hits of each kind that are put together, for one that is wanted.
const POOL: i64 = 4;

/// What is looked for, and where.
#[derive(Clone, Debug)]
pub struct Search {
    /// How it is compared.
    pub mode: SearchMode,
    /// The words.
    pub query: String,
    /// Their meaning; not needed for words alone.
    pub embedding: Option<Embedding>,
    /// The model that the meaning is by.
    pub model: String,
    /// PostgreSQL's configuration for the words.
    pub language: String,
    /// Only files of this agent.
    pub agent_id: Option<AgentId>,
    /// Only these files.
    pub file_ids: Option<Vec<FileId>>,
    /// Only files whose metadata have all of this.
    pub metadata: Option<Value>,
    /// Most hits.
    pub limit: i64,
    /// Lowest score.
    pub min_score: f64,
    /// Whether words that were found are marked.
    pub highlight: bool,
}

/// A hit, or, where nothing was found, what was looked through.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Row {
    #[diesel(sql_type = BigInt)]
    pub total: i64,
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

/// What was found.
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

/// The files that are looked through.
const SCOPE: &str = "scope AS MATERIALIZED (
    SELECT f.id, f.name, f.searchable_generation AS generation FROM files f
    WHERE f.tenant_id = $1 AND f.searchable_generation IS NOT NULL
      AND ($2::uuid[] IS NULL OR f.id = ANY ($2))
      AND ($3::uuid IS NULL OR EXISTS (
          SELECT FROM agent_files a WHERE a.tenant_id = $1 AND a.agent_id = $3 AND a.file_id = f.id))
      AND ($4::jsonb IS NULL OR f.metadata @> $4)
)";
const TOTAL: &str = "total AS (
    SELECT coalesce(sum(i.chunks), 0)::bigint AS total FROM scope s
    JOIN ingests i ON i.tenant_id = $1 AND i.file_id = s.id AND i.generation = s.generation
)";
const SEMANTIC: &str = "semantic AS (
    SELECT *, row_number() OVER (ORDER BY score DESC, file_id, ordinal) AS rank FROM (
        SELECT c.file_id, c.generation, c.ordinal, 1 - (c.embedding <=> $5) AS score
        FROM scope s JOIN chunks c ON c.tenant_id = $1 AND c.file_id = s.id AND c.generation = s.generation
        WHERE c.model = $6
        ORDER BY c.embedding <=> $5, c.file_id, c.ordinal LIMIT $7
    ) AS nearest
)";

/// The words as a query. People ask in sentences: any of the words will do, unless operators say
/// otherwise.
fn words(query: &str) -> &'static str {
    let has_operators = query.contains('"') || query.split_whitespace().any(|w| w.starts_with('-'));
    if has_operators {
        "websearch_to_tsquery($8::regconfig, $9)"
    } else {
        "replace(websearch_to_tsquery($8::regconfig, $9)::text, ' & ', ' | ')::tsquery"
    }
}

fn keyword(words: &str) -> String {
    format!(
        "keyword AS (
            SELECT *, row_number() OVER (ORDER BY score DESC, file_id, ordinal) AS rank FROM (
                SELECT c.file_id, c.generation, c.ordinal, ts_rank(c.words, {words}, 33)::float8 AS score
                FROM scope s JOIN chunks c ON c.tenant_id = $1 AND c.file_id = s.id AND c.generation = s.generation
                WHERE numnode({words}) > 0 AND c.words @@ ({words} && $10::tsquery)
                ORDER BY score DESC, c.file_id, c.ordinal LIMIT $7
            ) AS matching
        )"
    )
}

/// The lists of the mode, and how they become one.
fn lists(mode: SearchMode, words: &str) -> String {
    let none = "CAST(NULL AS float8)";
    match mode {
        SearchMode::Semantic => format!(
            "{SEMANTIC}, fused AS (
                SELECT file_id, generation, ordinal, score AS semantic, {none} AS keyword, score FROM semantic)"
        ),
        SearchMode::Keyword => format!(
            "{}, fused AS (
                SELECT file_id, generation, ordinal, {none} AS semantic, score AS keyword, score FROM keyword)",
            keyword(words)
        ),
        // Reciprocal ranks, so that whoever is first in both has 1. Meaning counts three times and the first ranks
        // much: people seldom ask in the words of the text, and a word that is common in all texts says little.
        SearchMode::Hybrid => format!(
            "{SEMANTIC}, {}, fused AS (
                SELECT file_id, generation, ordinal, s.score AS semantic, k.score AS keyword,
                       (coalesce(3.0 / (10 + s.rank), 0) + coalesce(1.0 / (10 + k.rank), 0))::float8 * 11 / 4 AS score
                FROM semantic s FULL JOIN keyword k USING (file_id, generation, ordinal))",
            keyword(words)
        ),
    }
}

fn statement(mode: SearchMode, words: &str) -> String {
    format!(
        "WITH {SCOPE}, {TOTAL}, {}, hits AS (
            SELECT * FROM fused WHERE score >= $11 ORDER BY score DESC, file_id, ordinal LIMIT $12
        )
        SELECT t.total, h.score, h.semantic, h.keyword, c.file_id, s.name AS file_name, c.generation, c.ordinal,
               c.page, c.headings, c.starts_at, c.ends_at, c.text,
               CASE WHEN $13 THEN ts_headline($8::regconfig, c.text, {words},
                   'HighlightAll=true, StartSel=\"' || chr(2) || '\", StopSel=\"' || chr(3) || '\"') END AS marked
        FROM total t
        LEFT JOIN (hits h
            JOIN chunks c ON c.tenant_id = $1 AND c.file_id = h.file_id AND c.generation = h.generation
                AND c.ordinal = h.ordinal
            JOIN scope s ON s.id = h.file_id) ON true
        ORDER BY h.score DESC, h.file_id, h.ordinal",
        lists(mode, words)
    )
}

/// The hits, best first; equal ones by file and place.
pub async fn search(tx: &mut TenantTx, search: &Search) -> Result<Vec<Row>> {
    load(tx, search, "").await
}

/// How PostgreSQL goes about it, line by line.
pub async fn plan(tx: &mut TenantTx, search: &Search) -> Result<Vec<String>> {
    let lines: Vec<Line> = load(tx, search, "EXPLAIN (COSTS OFF) ").await?;
    Ok(lines.into_iter().map(|line| line.text).collect())
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    text: String,
}

async fn load<T>(tx: &mut TenantTx, search: &Search, before: &str) -> Result<Vec<T>>
where
    T: QueryableByName<diesel::pg::Pg> + Send + 'static,
{
    let words = words(&search.query);
    let statement = format!("{before}{}", statement(search.mode, words));
    let pool = (search.limit * POOL).max(50);
    let embedding = search.embedding.as_ref().map(Half::from);
    Ok(diesel::sql_query(statement)
        .bind::<SqlUuid, _>(tx.tenant())
        .bind::<Nullable<Array<SqlUuid>>, _>(&search.file_ids)
        .bind::<Nullable<SqlUuid>, _>(search.agent_id)
        .bind::<Nullable<Jsonb>, _>(&search.metadata)
        .bind::<Nullable<HalfVec>, _>(embedding)
        .bind::<Text, _>(&search.model)
        .bind::<BigInt, _>(pool)
        .bind::<Text, _>(&search.language)
        .bind::<Text, _>(&search.query)
        .bind::<Text, _>(format!("'{}'", tenant_word(tx.tenant())))
        .bind::<Double, _>(search.min_score)
        .bind::<BigInt, _>(search.limit)
        .bind::<Bool, _>(search.highlight)
        .load(tx)
        .await?)
}
