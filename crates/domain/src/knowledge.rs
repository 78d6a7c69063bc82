//! Knowledge of agents: ingestion and search of files.

use serde::{Deserialize, Serialize};

use crate::{
    id::FileId,
    invalid::{Invalid, Violation},
    words::words,
};

/// Maximum number of hits of a search.
pub const MOST_HITS: u32 = 100;
/// Maximum number of files that one search or binding may name.
pub const MOST_FILES: usize = 1000;

words! {
    /// State of an ingest.
    pub enum IngestState {
        /// It waits for a worker.
        Pending = "pending",
        /// It is being processed.
        Running = "running",
        /// Its chunks are searchable.
        Done = "done",
        /// It failed; the error says why.
        Failed = "failed",
    }
}

words! {
    /// One stage of an ingest, in order.
    #[derive(PartialOrd, Ord)]
    pub enum Stage {
        /// Text is extracted; counted in pages.
        Extract = "extract",
        /// The text is split into chunks.
        Chunk = "chunk",
        /// Embeddings are computed.
        Embed = "embed",
        /// The old chunks are replaced by the new ones in one transaction.
        Index = "index",
    }
}

impl IngestState {
    /// Whether the state is final.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

words! {
    /// How a search ranks chunks.
    #[derive(Default)]
    pub enum SearchMode {
        /// Keyword and semantic results, merged by their ranks.
        #[default]
        Hybrid = "hybrid",
        /// By the distance of embeddings.
        Semantic = "semantic",
        /// By keywords.
        Keyword = "keyword",
    }
}

/// How an agent searches the files that are attached to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"mode": "hybrid", "top_k": 5, "min_score": null, "file_ids": null}))
)]
pub struct KnowledgeSettings {
    /// Search mode.
    #[serde(default)]
    pub mode: SearchMode,
    /// Maximum number of passages returned to the model; 5 by default.
    #[serde(default = "usual_top_k")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 50))]
    pub top_k: u32,
    /// Lowest score of a passage.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 1))]
    pub min_score: Option<f64>,
    /// Only these of the agent's files; null for all that are attached at the time of the search.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
    pub file_ids: Option<Vec<FileId>>,
}

fn usual_top_k() -> u32 {
    5
}

impl KnowledgeSettings {
    /// Validates what the types of the fields cannot.
    pub fn check(&self) -> Result<(), Vec<Violation>> {
        let mut found = Vec::new();
        if !(1..=50).contains(&self.top_k) {
            found.push(Invalid::new("out_of_range", "1 to 50 is allowed").at("/top_k"));
        }
        if let Some(invalid) = self.min_score.and_then(|score| check_score(score).err()) {
            found.push(invalid.at("/min_score"));
        }
        if self
            .file_ids
            .as_ref()
            .is_some_and(|ids| ids.len() > MOST_FILES)
        {
            let message = format!("at most {MOST_FILES} files are allowed");
            found.push(Invalid::new("too_many", message).at("/file_ids"));
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

/// Validates a score, which is between 0 and 1.
pub fn check_score(score: f64) -> Result<(), Invalid> {
    if (0.0..=1.0).contains(&score) {
        return Ok(());
    }
    Err(Invalid::new("out_of_range", "0 to 1 is allowed"))
}

/// An embedding: a vector of length 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding(pub Vec<f32>);

/// Languages of keyword search, as PostgreSQL names them; `simple` for all others.
pub const LANGUAGES: [&str; 30] = [
    "simple",
    "arabic",
    "armenian",
    "basque",
    "catalan",
    "danish",
    "dutch",
    "english",
    "estonian",
    "finnish",
    "french",
    "german",
    "greek",
    "hindi",
    "hungarian",
    "indonesian",
    "irish",
    "italian",
    "lithuanian",
    "nepali",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "serbian",
    "spanish",
    "swedish",
    "tamil",
    "turkish",
    "yiddish",
];

/// The language in a tenant's settings under `search_language`; `english` by default.
pub fn language(settings: &serde_json::Value) -> Result<&'static str, Invalid> {
    let named = match settings.get("search_language") {
        None | Some(serde_json::Value::Null) => return Ok("english"),
        Some(named) => named.as_str().unwrap_or_default(),
    };
    let known = LANGUAGES.iter().find(|known| **known == named);
    known.copied().ok_or_else(|| {
        let message = format!("one of these is needed: {}", LANGUAGES.join(", "));
        Invalid::new("unknown_language", message)
    })
}
