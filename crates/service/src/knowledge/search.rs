//! Search: the question is embedded, and then the database finds and ranks.

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
use crate::{Error, Result, Service, counters::KnowledgeUse};

/// What is looked for, and where.
pub struct Question {
    /// The words.
    pub query: String,
    /// How it is compared.
    pub mode: SearchMode,
    /// Most hits.
    pub limit: u32,
    /// Only files of this agent.
    pub agent_id: Option<AgentId>,
    /// Only these files.
    pub file_ids: Option<Vec<FileId>>,
    /// Only files whose metadata have all of this.
    pub metadata: Option<Value>,
    /// Lowest score.
    pub min_score: Option<f64>,
    /// Whether words that were found are marked.
    pub highlight: bool,
}

/// What was found, and how long it took.
pub struct SearchOutcome {
    /// The hits, best first.
    pub rows: Vec<Row>,
    /// Milliseconds for the embedding of the question.
    pub embed_ms: f64,
    /// Milliseconds for the search itself.
    pub search_ms: f64,
}

/// Checks a question, and that what it names exists in the tenant.
pub async fn check(service: &Service, tenant: TenantId, question: &Question) -> Result<()> {
    let limit = question.limit;
    if !(1..=MOST_HITS).contains(&limit) {
        let invalid = Invalid::new("out_of_range", format!("1 to {MOST_HITS} is allowed"));
        return Err(Error::invalid_at("/limit", invalid));
    }
    let files = question.file_ids.as_ref();
    if files.is_some_and(|ids| ids.len() > MOST_FILES) {
        let message = format!("at most {MOST_FILES} files are allowed");
        let invalid = Invalid::new("too_many", message);
        return Err(Error::invalid_at("/file_ids", invalid));
    }
    let score = question.min_score.map_or(Ok(()), check_score);
    score.map_err(|invalid| Error::invalid_at("/min_score", invalid))?;
    if question.agent_id.is_none() && files.is_none() {
        return Ok(());
    }
    let mut tx = service.db.begin(tenant).await?;
    if let Some(agent) = question.agent_id {
        let found = agents::find(&mut tx, agent).await?;
        found.ok_or_else(Error::not_found)?;
    }
    if let Some(ids) = files {
        require_files(&mut tx, ids).await?;
    }
    tx.finish();
    Ok(())
}

/// Searches a tenant's files.
pub async fn search(
    service: &Service,
    tenant: TenantId,
    question: Question,
) -> Result<SearchOutcome> {
    let started = Instant::now();
    let (model, embedding) = meaning(service, &question).await?;
    let embedded = Instant::now();
    let mut tx = service.db.begin(tenant).await?;
    let look = rows::look(&mut tx, &model).await?;
    let look = look.ok_or_else(Error::not_found)?;
    let search = Search {
        mode: question.mode,
        query: question.query,
        embedding,
        model,
        language: language_in(&look.settings).to_owned(),
        agent_id: question.agent_id,
        file_ids: question.file_ids,
        metadata: question.metadata,
        limit: question.limit.into(),
        min_score: question.min_score.unwrap_or_default(),
        highlight: question.highlight,
        is_indexed: look.is_indexed,
        exact_most: service.settings.knowledge.index.search_exact_chunks,
    };
    let rows = rows::search(&mut tx, &search).await?;
    tx.finish();
    let used = KnowledgeUse {
        searches: 1,
        embedding_seconds: (embedded - started).as_secs_f64(),
    };
    service.counters.note_knowledge(tenant, used);
    let milliseconds = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1000.0;
    Ok(SearchOutcome {
        rows,
        embed_ms: milliseconds(started, embedded),
        search_ms: milliseconds(embedded, Instant::now()),
    })
}

async fn meaning(service: &Service, question: &Question) -> Result<(String, Option<Embedding>)> {
    if question.mode == SearchMode::Keyword {
        return Ok((String::new(), None));
    }
    let embedder = embedder(service)?;
    let texts = vec![question.query.clone()];
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

    /// Milliseconds in all.
    pub fn took_ms(&self) -> u32 {
        (self.embed_ms + self.search_ms) as u32
    }
}

/// Id of a chunk: its file, generation and place.
pub fn chunk_id(file: FileId, generation: i32, ordinal: i32) -> String {
    format!("{file}:{generation}:{ordinal}")
}
