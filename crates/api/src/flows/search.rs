//! Search: the question is embedded, and then the database finds and ranks.

use std::time::Instant;

use patchbay_domain::{
    AgentId, FileId, TenantId,
    knowledge::{Embedding, SearchMode},
};
use patchbay_persistence::search::{self, Row, Search};
use patchbay_vectors::Purpose;
use serde_json::Value;

use super::recipe::{embedder, language_in};
use crate::{
    app::App,
    error::{ApiError, Result},
};

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
pub struct Answer {
    /// The hits, best first.
    pub rows: Vec<Row>,
    /// Milliseconds for the embedding of the question.
    pub embed_ms: f64,
    /// Milliseconds for the search itself.
    pub search_ms: f64,
}

/// Looks it up.
pub async fn ask(app: &App, tenant: TenantId, question: Question) -> Result<Answer> {
    let started = Instant::now();
    let (model, embedding) = meaning(app, &question).await?;
    let embedded = Instant::now();
    let mut tx = app.db.begin(tenant).await?;
    let look = search::look(&mut tx, &model).await?;
    let look = look.ok_or_else(ApiError::not_found)?;
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
        exact_most: app.settings.knowledge.index.search_exact_chunks,
    };
    let rows = search::search(&mut tx, &search).await?;
    tx.finish();
    app.note_knowledge_use(tenant, 1, (embedded - started).as_secs_f64());
    let milliseconds = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1000.0;
    Ok(Answer {
        rows,
        embed_ms: milliseconds(started, embedded),
        search_ms: milliseconds(embedded, Instant::now()),
    })
}

async fn meaning(app: &App, question: &Question) -> Result<(String, Option<Embedding>)> {
    if question.mode == SearchMode::Keyword {
        return Ok((String::new(), None));
    }
    let embedder = embedder(app)?;
    let texts = vec![question.query.clone()];
    let mut embeddings = embedder.embed(texts, Purpose::Query).await?;
    Ok((embedder.model().name.clone(), embeddings.pop()))
}
