//! Search in files.

use patchbay_domain::{AgentId, FileId, Metadata, knowledge::SearchMode, text::Text};
use patchbay_persistence::search::{Found, Row};
use patchbay_service::{
    Code, Result,
    knowledge::highlights::highlights,
    knowledge::search::{self as knowledge, Question, SearchOutcome, chunk_id},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    answer::{Entity, Resource},
    extract::{Caller, Json, scopes::SearchRead},
    openapi::{Doc, Tag},
    router::Api,
};

/// What is looked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"query": "What does shipping cost?", "mode": "hybrid", "limit": 5, "highlight": true}))]
pub struct SearchFiles {
    /// A question, or words. In modes with words, `"…"` is a phrase and `-` excludes; otherwise any of the words will do.
    query: Text<1, 2000>,
    /// How it is compared.
    #[serde(default)]
    mode: SearchMode,
    /// Most hits; 10 by default.
    #[schema(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Only files that are attached to this agent.
    agent_id: Option<AgentId>,
    /// Only these files.
    #[schema(max_items = 1000)]
    file_ids: Option<Vec<FileId>>,
    /// Only files whose metadata have all of this.
    metadata: Option<Metadata>,
    /// Lowest score.
    #[schema(minimum = 0, maximum = 1)]
    min_score: Option<f64>,
    /// Say where the words stand in each text.
    #[serde(default)]
    highlight: bool,
}

/// A passage that was found.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "chunk_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0:1:4", "file_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0",
    "file_name": "prices.pdf", "page": 2, "headings": ["Shipping"], "starts_at": 3120, "ends_at": 3744, "text": "Parcels up to 5 kg cost 4.90.",
    "score": 1.0, "scores": {"semantic": 0.71, "keyword": 0.12, "fused": 1.0}, "highlights": [{"starts_at": 0, "ends_at": 7}]
}))]
pub struct Hit {
    /// File, generation and place, as in the list of the file's chunks.
    #[schema(max_length = 64)]
    chunk_id: String,
    /// The file.
    file_id: FileId,
    /// Its name.
    #[schema(max_length = 200)]
    file_name: String,
    /// Page, slide or sheet, from 1.
    #[schema(minimum = 1)]
    page: Option<i32>,
    /// The headings above it.
    #[schema(max_items = 10)]
    headings: Vec<String>,
    /// Where it begins in the text of the file, in characters.
    #[schema(minimum = 0)]
    starts_at: i32,
    /// Where it ends.
    #[schema(minimum = 0)]
    ends_at: i32,
    /// The text.
    #[schema(max_length = 100_000)]
    text: String,
    /// What it is ranked by, between 0 and 1.
    score: f64,
    /// What the score is made of.
    scores: Scores,
    /// Where words of the query stand in the text, if that was asked for.
    #[schema(max_items = 10_000)]
    highlights: Vec<Highlight>,
}

/// The parts of a score.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"semantic": 0.71, "keyword": 0.12, "fused": 1.0}))]
pub struct Scores {
    /// Cosine similarity of the embeddings; null where it was not among the nearest.
    semantic: Option<f64>,
    /// How well the words fit; null where none of them did.
    keyword: Option<f64>,
    /// Both by their ranks: 1 for what is first in both; null in other modes than `hybrid`.
    fused: Option<f64>,
}

/// A place in a text, in characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"starts_at": 0, "ends_at": 7}))]
pub struct Highlight {
    /// Where it begins.
    starts_at: usize,
    /// Where it ends.
    ends_at: usize,
}

/// What was found.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "data": [], "total_candidates": 1200, "took_ms": {"embed": 8.1, "search": 2.4, "total": 10.5}
}))]
pub struct SearchResult {
    /// The passages, best first; the same data and query give the same order.
    #[schema(max_items = 100)]
    data: Vec<Hit>,
    /// Chunks that were looked through.
    #[schema(minimum = 0)]
    total_candidates: i64,
    /// How long it took.
    took_ms: Took,
}

/// Milliseconds.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"embed": 8.1, "search": 2.4, "total": 10.5}))]
pub struct Took {
    /// For the embedding of the question.
    embed: f64,
    /// For the search in the database.
    search: f64,
    /// In all.
    total: f64,
}

impl Resource for SearchResult {}

impl Hit {
    fn new(mode: SearchMode, row: Row) -> Option<Self> {
        let rounded = |score: f64| (score * 1e6).round() / 1e6;
        let score = row.score.map(rounded)?;
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
            starts_at,
            ends_at,
            text,
            score,
            scores: Scores {
                semantic: row.semantic.map(rounded),
                keyword: row.keyword.map(rounded),
                fused: (mode == SearchMode::Hybrid).then_some(score),
            },
            highlights: row
                .marked
                .as_deref()
                .map(highlights)
                .unwrap_or_default()
                .into_iter()
                .map(|(starts_at, ends_at)| Highlight { starts_at, ends_at })
                .collect(),
        })
    }
}

impl SearchResult {
    /// The result, as it goes over the wire.
    pub fn new(mode: SearchMode, outcome: SearchOutcome) -> Self {
        let rounded = |ms: f64| (ms * 1000.0).round() / 1000.0;
        let total_candidates = outcome.rows.first().map_or(0, |row| row.total);
        let hits = outcome.rows.into_iter();
        Self {
            data: hits.filter_map(|row| Hit::new(mode, row)).collect(),
            total_candidates,
            took_ms: Took {
                embed: rounded(outcome.embed_ms),
                search: rounded(outcome.search_ms),
                total: rounded(outcome.embed_ms + outcome.search_ms),
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
                "Finds passages by their words, by their meaning, or by both: of an agent's \
                 files, of some files, or of all that the tenant has. Only files that have \
                 been ingested are seen.",
            )
            .errors(&[Code::EmbeddingsNotConfigured]),
    );
}

async fn search(
    caller: Caller<SearchRead>,
    Json(body): Json<SearchFiles>,
) -> Result<Entity<SearchResult>> {
    let (service, tenant) = (&caller.service, caller.tenant()?);
    let question = Question {
        query: body.query.into_inner(),
        mode: body.mode,
        limit: body.limit.unwrap_or(10),
        agent_id: body.agent_id,
        file_ids: body.file_ids,
        metadata: body.metadata.map(|metadata| metadata.value()).transpose()?,
        min_score: body.min_score,
        highlight: body.highlight,
    };
    knowledge::check(service, tenant, &question).await?;
    let outcome = knowledge::search(service, tenant, question).await?;
    Ok(Entity(SearchResult::new(body.mode, outcome)))
}
