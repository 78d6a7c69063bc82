//! The SQL of a search.
//!
//! $1 tenant, $2 files, $3 agent, $4 metadata, $5 model, $6 embedding, $7 candidates of each kind, $8 language,
//! $9 query, $10 the tenant's word, $11 lowest score, $12 maximum hits, $13 whether words are marked.

use patchbay_domain::{TenantId, knowledge::SearchMode};

use crate::hnsw;

/// Parameters of a search in a tenant's index.
pub(super) struct Near {
    pub(super) tenant: TenantId,
    pub(super) model: String,
    pub(super) dimensions: usize,
    /// Candidates from the index, of which the nearest are taken.
    pub(super) oversampled: i64,
}

/// Which files `f` are searched.
const SEARCHED_FILES: &str = "f.tenant_id = $1 AND f.searchable_generation IS NOT NULL
      AND ($2::uuid[] IS NULL OR f.id = ANY ($2))
      AND ($3::uuid IS NULL OR EXISTS (
          SELECT FROM agent_files a WHERE a.tenant_id = $1 AND a.agent_id = $3 AND a.file_id = f.id))
      AND ($4::jsonb IS NULL OR f.metadata @> $4)";

/// The searched files, without duplicates.
fn scope() -> String {
    format!(
        "scope AS MATERIALIZED (
            SELECT f.id, f.name, f.searchable_generation AS generation FROM files f WHERE {SEARCHED_FILES}
        )"
    )
}

/// The number of their chunks; in semantic search only those of the model.
fn total(mode: SearchMode) -> String {
    let model = match mode {
        SearchMode::Semantic => "i.model = $5",
        SearchMode::Keyword | SearchMode::Hybrid => "true",
    };
    format!(
        "total AS (
            SELECT coalesce(sum(i.chunks), 0)::bigint AS total FROM scope s
            JOIN ingests i ON i.tenant_id = $1 AND i.file_id = s.id AND i.generation = s.generation AND {model}
        )"
    )
}

/// The tenant's settings, and whether its index exists. $2 is the model.
pub fn context() -> String {
    let is_there = hnsw::is_there("$1", "$2");
    format!("SELECT t.settings, {is_there} AS is_indexed FROM tenants t WHERE t.id = $1")
}

/// The numbers that decide between an exact search and the index; and the settings for index scans in this
/// transaction. $6 is `hnsw.ef_search`, $7 `hnsw.max_scan_tuples`.
pub fn amounts() -> String {
    format!(
        "WITH {}, {},
        settings AS MATERIALIZED (
            SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true),
                   set_config('hnsw.ef_search', $6::text, true),
                   set_config('hnsw.scan_mem_multiplier', '8', true),
                   set_config('hnsw.max_scan_tuples', $7::text, true)
        )
        SELECT (SELECT total FROM total) AS total,
               (SELECT coalesce(sum(i.chunks), 0)::bigint FROM ingests i JOIN files f
                    ON f.tenant_id = $1 AND f.id = i.file_id AND f.searchable_generation = i.generation
                WHERE i.tenant_id = $1 AND i.model = $5) AS everything
        FROM settings",
        scope(),
        total(SearchMode::Semantic),
    )
}

/// The nearest of all chunks, compared one by one. (`OFFSET 0` keeps the planner to the chunks of these files:
/// for a tenant with few files it would rather read those of all tenants.)
const EXACT: &str = "
    SELECT c.file_id, c.generation, c.ordinal, c.distance FROM scope s CROSS JOIN LATERAL (
        SELECT file_id, generation, ordinal, embedding <=> $6 AS distance FROM chunks
        WHERE tenant_id = $1 AND file_id = s.id AND generation = s.generation AND model = $5 OFFSET 0
    ) AS c
    ORDER BY c.distance, c.file_id, c.ordinal LIMIT $7";

/// The nearest by the tenant's index, whose predicate must be repeated literally; more than needed, since the
/// order of the index is approximate. (A boolean subquery, rather than a join or an equation, keeps the planner
/// from assuming that few chunks match and sorting them all.)
fn indexed(near: &Near) -> String {
    let Near {
        tenant,
        model,
        dimensions,
        oversampled,
    } = near;
    let (tenant, model) = (tenant.uuid(), hnsw::quoted(model));
    format!(
        "SELECT file_id, generation, ordinal, distance FROM (
            SELECT c.file_id, c.generation, c.ordinal, c.embedding <=> $6 AS distance FROM chunks c
            WHERE c.tenant_id = '{tenant}' AND c.model = {model}
              AND coalesce((SELECT f.searchable_generation = c.generation FROM files f WHERE f.id = c.file_id AND {SEARCHED_FILES}), false)
            ORDER BY (c.embedding::halfvec({dimensions})) <=> $6::halfvec({dimensions}) LIMIT {oversampled}
        ) AS about ORDER BY distance, file_id, ordinal LIMIT $7"
    )
}

fn semantic(near: Option<&Near>) -> String {
    let nearest = near.map_or_else(|| EXACT.to_owned(), indexed);
    format!(
        "semantic AS (
            SELECT file_id, generation, ordinal, 1 - distance AS score,
                   row_number() OVER (ORDER BY distance, file_id, ordinal) AS rank
            FROM ({nearest}) AS nearest
        )"
    )
}

/// The query text as a `tsquery`. People ask in sentences: any of the words matches, unless operators are used.
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

/// The ranked lists of the mode, and how they are merged.
fn lists(mode: SearchMode, words: &str, near: Option<&Near>) -> String {
    let none = "CAST(NULL AS float8)";
    match mode {
        SearchMode::Semantic => format!(
            "{}, fused AS (
                SELECT file_id, generation, ordinal, score AS semantic, {none} AS keyword, score FROM semantic)",
            semantic(near)
        ),
        SearchMode::Keyword => format!(
            "{}, fused AS (
                SELECT file_id, generation, ordinal, {none} AS semantic, score AS keyword, score FROM keyword)",
            keyword(words)
        ),
        // Reciprocal rank fusion, scaled so that the first in both lists has 1. Semantic ranks count three times,
        // and first ranks much: queries seldom use the words of the text, and common words say little.
        SearchMode::Hybrid => format!(
            "{}, {}, fused AS (
                SELECT file_id, generation, ordinal, s.score AS semantic, k.score AS keyword,
                       (coalesce(3.0 / (10 + s.rank), 0) + coalesce(1.0 / (10 + k.rank), 0))::float8 * 11 / 4 AS score
                FROM semantic s FULL JOIN keyword k USING (file_id, generation, ordinal))",
            semantic(near),
            keyword(words)
        ),
    }
}

/// The whole statement: hits with their data, or a row without a hit.
pub fn search(mode: SearchMode, query: &str, near: Option<&Near>) -> String {
    let words = words(query);
    let nearest = match near {
        Some(_) => "(SELECT count(*) FROM semantic)",
        None => "CAST(NULL AS bigint)",
    };
    format!(
        "WITH {}, {}, {}, hits AS (
            SELECT * FROM fused WHERE score >= $11 ORDER BY score DESC, file_id, ordinal LIMIT $12
        )
        SELECT t.total, {nearest} AS nearest, h.score, h.semantic, h.keyword, c.file_id, s.name AS file_name, c.generation, c.ordinal,
               c.page, c.headings, c.starts_at, c.ends_at, c.text,
               CASE WHEN $13 THEN ts_headline($8::regconfig, c.text, {words},
                   'HighlightAll=true, StartSel=\"' || chr(2) || '\", StopSel=\"' || chr(3) || '\"') END AS marked
        FROM total t
        LEFT JOIN (hits h
            JOIN chunks c ON c.tenant_id = $1 AND c.file_id = h.file_id AND c.generation = h.generation
                AND c.ordinal = h.ordinal
            JOIN scope s ON s.id = h.file_id) ON true
        ORDER BY h.score DESC, h.file_id, h.ordinal",
        scope(),
        total(mode),
        lists(mode, words, near)
    )
}
