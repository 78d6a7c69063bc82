//! Search: the query is embedded, then the database finds and ranks chunks.

use std::time::Instant;

use patchbay_domain::{
    AgentId, FileId, Invalid, TenantId,
    knowledge::{Embedding, MOST_FILES, MOST_HITS, SearchMode, check_score},
};
use patchbay_persistence::agents;
use patchbay_persistence::search::{self as rows, Row, Search};
use patchbay_vectors::Purpose;
use serde_json::Value;

use super::{
    files::require_files,
    settings::{embedder, language_in},
};
use crate::{Error, Result, Service, counters::KnowledgeUse, instruments::record_search};

/// A search request.
pub struct SearchRequest {
    /// The query text.
    pub query: String,
    /// Search mode.
    pub mode: SearchMode,
    /// Maximum number of hits.
    pub limit: u32,
    /// Only files of this agent.
    pub agent_id: Option<AgentId>,
    /// Only these files.
    pub file_ids: Option<Vec<FileId>>,
    /// Only files whose metadata contain all of this.
    pub metadata: Option<Value>,
    /// Minimum score of a hit.
    pub min_score: Option<f64>,
    /// Whether matched words are marked.
    pub highlight: bool,
}

/// Hits of a search, with timings.
pub struct SearchOutcome {
    /// The hits, best first.
    pub rows: Vec<Row>,
    /// Duration of the query embedding in milliseconds.
    pub embed_ms: f64,
    /// Duration of the database search in milliseconds.
    pub search_ms: f64,
}

/// Checks a request, and that its agent and files exist in the tenant.
pub async fn check(service: &Service, tenant: TenantId, request: &SearchRequest) -> Result<()> {
    let limit = request.limit;
    if !(1..=MOST_HITS).contains(&limit) {
        let invalid = Invalid::new("out_of_range", format!("1 to {MOST_HITS} is allowed"));
        return Err(Error::invalid_at("/limit", invalid));
    }
    let files = request.file_ids.as_ref();
    if files.is_some_and(|ids| ids.len() > MOST_FILES) {
        let message = format!("at most {MOST_FILES} files are allowed");
        let invalid = Invalid::new("too_many", message);
        return Err(Error::invalid_at("/file_ids", invalid));
    }
    let score = request.min_score.map_or(Ok(()), check_score);
    score.map_err(|invalid| Error::invalid_at("/min_score", invalid))?;
    if request.agent_id.is_none() && files.is_none() {
        return Ok(());
    }
    let mut tx = service.db.begin(tenant).await?;
    if let Some(agent) = request.agent_id {
        let found = agents::find(&mut tx, agent).await?;
        found.ok_or_else(|| Error::unknown_reference("/agent_id"))?;
    }
    if let Some(ids) = files {
        require_files(&mut tx, ids, "/file_ids").await?;
    }
    tx.finish();
    Ok(())
}

/// Searches a tenant's files.
pub async fn search(
    service: &Service,
    tenant: TenantId,
    request: SearchRequest,
) -> Result<SearchOutcome> {
    let started = Instant::now();
    let (model, embedding) = embed_query(service, &request).await?;
    let embedded = Instant::now();
    let mut tx = service.db.begin(tenant).await?;
    let context = rows::load_context(&mut tx, &model).await?;
    let context = context.ok_or_else(Error::not_found)?;
    let search = Search {
        mode: request.mode,
        query: request.query,
        embedding,
        model,
        language: language_in(&context.settings).to_owned(),
        agent_id: request.agent_id,
        file_ids: request.file_ids,
        metadata: request.metadata,
        limit: request.limit.into(),
        min_score: request.min_score.unwrap_or_default(),
        highlight: request.highlight,
        is_indexed: context.is_indexed,
        exact_most: service.settings.knowledge.index.search_exact_chunks,
        max_scan: service.settings.knowledge.index.search_max_scan,
    };
    let rows = rows::search(&mut tx, &search).await?;
    tx.finish();
    let used = KnowledgeUse {
        searches: 1,
        embedding_seconds: (embedded - started).as_secs_f64(),
    };
    service.counters.record_knowledge_use(tenant, used);
    record_search(search.mode, started.elapsed());
    let milliseconds = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1000.0;
    Ok(SearchOutcome {
        rows,
        embed_ms: milliseconds(started, embedded),
        search_ms: milliseconds(embedded, Instant::now()),
    })
}

/// Embeds the query with the current model; a keyword search needs neither.
async fn embed_query(
    service: &Service,
    request: &SearchRequest,
) -> Result<(String, Option<Embedding>)> {
    if request.mode == SearchMode::Keyword {
        return Ok((String::new(), None));
    }
    let embedder = embedder(service)?;
    let texts = vec![request.query.clone()];
    let mut embeddings = embedder.embed(texts, Purpose::Query).await?;
    Ok((embedder.model().name.clone(), embeddings.pop()))
}

impl SearchOutcome {
    /// The ids of the chunks, best first.
    pub fn chunk_ids(&self) -> Vec<String> {
        let chunks = self.rows.iter().filter_map(|row| row.chunk.as_ref());
        chunks
            .map(|found| chunk_id(found.file_id, found.generation, found.ordinal))
            .collect()
    }

    /// Total duration in milliseconds.
    pub fn total_ms(&self) -> u32 {
        (self.embed_ms + self.search_ms) as u32
    }
}

/// Returns the id of a chunk: its file, generation and ordinal.
pub fn chunk_id(file: FileId, generation: i32, ordinal: i32) -> String {
    format!("{file}:{generation}:{ordinal}")
}
