//! Search in files.

use patchbay_domain::{AgentId, FileId, Metadata, knowledge::SearchMode, text::Text};
use patchbay_persistence::search::{Found, Row};
use patchbay_service::{
    Code, Result,
    knowledge::highlights::segments,
    knowledge::search::{self as knowledge, SearchOutcome, SearchRequest, chunk_id},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    extract::{Caller, Json, scopes::SearchRead},
    openapi::{Doc, Tag},
    response::{Entity, Resource},
    router::Api,
};

/// Request to search files.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"query": "What does shipping cost?", "mode": "hybrid", "limit": 5, "highlight": true}))]
pub struct SearchFiles {
    /// Question or keywords. In the modes `hybrid` and `keyword`, `"…"` matches a phrase, `-` excludes a word, and
    /// otherwise any of the words may match.
    query: Text<1, 2000>,
    /// Search mode.
    #[serde(default)]
    mode: SearchMode,
    /// Maximum number of hits; 10 by default.
    #[schema(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Only files that are attached to this agent.
    agent_id: Option<AgentId>,
    /// Only these files.
    #[schema(max_items = 1000)]
    file_ids: Option<Vec<FileId>>,
    /// Only files whose metadata contain all of these entries.
    metadata: Option<Metadata>,
    /// Minimum score of a hit.
    #[schema(minimum = 0, maximum = 1)]
    min_score: Option<f64>,
    /// Whether to return the text in `segments` too, with the matched words apart.
    #[serde(default)]
    highlight: bool,
}

/// A chunk that matches the search.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "chunk_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0:1:4", "file_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0",
    "file_name": "prices.pdf", "page": 2, "headings": ["Shipping"], "start_offset": 3120, "end_offset": 3744, "text": "Parcels up to 5 kg cost 4.90.",
    "score": 1.0, "scores": {"semantic": 0.71, "keyword": 0.12, "fused": 1.0}, "segments": [{"text": "Parcels", "hit": true}, {"text": " up to 5 kg cost 4.90.", "hit": false}]
}))]
pub struct Hit {
    /// Id of the chunk: file id, generation and ordinal, joined with `:`.
    #[schema(max_length = 64)]
    chunk_id: String,
    /// Id of the file.
    file_id: FileId,
    /// Name of the file.
    #[schema(max_length = 200)]
    file_name: String,
    /// Number of the page, slide or sheet, counted from 1; null if the file has none.
    #[schema(minimum = 1)]
    page: Option<i32>,
    /// Headings above the chunk, outermost first.
    #[schema(max_items = 10, value_type = Vec<Text<0, 100_000>>)]
    headings: Vec<String>,
    /// Start of the chunk in the text of the file, in Unicode code points.
    #[schema(minimum = 0)]
    start_offset: i32,
    /// Exclusive end of the chunk in the text of the file, in Unicode code points.
    #[schema(minimum = 0)]
    end_offset: i32,
    /// Text of the chunk.
    #[schema(max_length = 100_000)]
    text: String,
    /// Score by which hits are ranked, between 0 and 1.
    score: f64,
    /// Components of the score.
    scores: Scores,
    /// The text in pieces, in order, with the words of the query apart; empty unless `highlight` is set.
    #[schema(max_items = 20_000)]
    segments: Vec<Segment>,
}

/// Components of a score.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"semantic": 0.71, "keyword": 0.12, "fused": 1.0}))]
pub struct Scores {
    /// Cosine similarity of the embeddings; null if the chunk is not among the nearest neighbours.
    semantic: Option<f64>,
    /// Keyword relevance; null if no word matches.
    keyword: Option<f64>,
    /// Fusion of both rankings, 1 for a chunk that is first in both; null unless the mode is `hybrid`.
    fused: Option<f64>,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"text": "Parcels", "hit": true}))]
pub struct Segment {
    /// The piece.
    #[schema(max_length = 100_000)]
    text: String,
    /// Whether it is a word of the query.
    hit: bool,
}

/// Result of a search.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "data": [], "total_candidates": 1200, "took_ms": {"embed": 8.1, "search": 2.4, "total": 10.5}
}))]
pub struct SearchResult {
    /// Matching chunks, best first. The order is deterministic for the same data and query.
    #[schema(max_items = 100)]
    data: Vec<Hit>,
    /// Number of chunks that were searched.
    #[schema(minimum = 0)]
    total_candidates: i64,
    /// Duration of the search.
    took_ms: SearchTimings,
}

/// Durations of the steps of a search, in milliseconds.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"embed": 8.1, "search": 2.4, "total": 10.5}))]
pub struct SearchTimings {
    /// Computing the embedding of the query.
    embed: f64,
    /// Searching the database.
    search: f64,
    /// Total duration.
    total: f64,
}

impl Resource for SearchResult {}

impl Hit {
    fn new(mode: SearchMode, row: Row) -> Option<Self> {
        let round = |score: f64| (score * 1e6).round() / 1e6;
        let score = row.score.map(round)?;
        let Found {
            file_id,
            file_name,
            generation,
            ordinal,
            page,
            headings,
            starts_at,
            ends_at,
            text,
        } = row.chunk?;
        Some(Self {
            chunk_id: chunk_id(file_id, generation, ordinal),
            file_id,
            file_name,
            page,
            headings,
            start_offset: starts_at,
            end_offset: ends_at,
            text,
            score,
            scores: Scores {
                semantic: row.semantic.map(round),
                keyword: row.keyword.map(round),
                fused: (mode == SearchMode::Hybrid).then_some(score),
            },
            segments: segments(row.marked.as_deref().unwrap_or_default())
                .map(|(text, hit)| Segment {
                    text: text.to_owned(),
                    hit,
                })
                .collect(),
        })
    }
}

impl SearchResult {
    /// Converts the outcome of a search to the response.
    pub fn new(mode: SearchMode, outcome: SearchOutcome) -> Self {
        let round = |ms: f64| (ms * 1000.0).round() / 1000.0;
        let total_candidates = outcome.rows.first().map_or(0, |row| row.total);
        let hits = outcome.rows.into_iter();
        Self {
            data: hits.filter_map(|row| Hit::new(mode, row)).collect(),
            total_candidates,
            took_ms: SearchTimings {
                embed: round(outcome.embed_ms),
                search: round(outcome.search_ms),
                total: round(outcome.embed_ms + outcome.search_ms),
            },
        }
    }
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Knowledge);
    api.add(
        "/api/tenants/{tenant_id}/search",
        search,
        Doc::post("searchFiles", "Search files")
            .about(
                "Searches chunks by keywords, by the similarity of embeddings, or by both: in the \
                 files attached to an agent, in given files, or in all files of the tenant. Only \
                 ingested files are searched.",
            )
            .errors(&[Code::EmbeddingsNotConfigured]),
    );
}

async fn search(
    caller: Caller<SearchRead>,
    Json(body): Json<SearchFiles>,
) -> Result<Entity<SearchResult>> {
    let (service, tenant) = (&caller.service, caller.tenant()?);
    let request = SearchRequest {
        query: body.query.into_inner(),
        mode: body.mode,
        limit: body.limit.unwrap_or(10),
        agent_id: body.agent_id,
        file_ids: body.file_ids,
        metadata: body.metadata.map(|metadata| metadata.value()).transpose()?,
        min_score: body.min_score,
        highlight: body.highlight,
    };
    knowledge::check(service, tenant, &request).await?;
    let outcome = knowledge::search(service, tenant, request).await?;
    Ok(Entity(SearchResult::new(body.mode, outcome)))
}
