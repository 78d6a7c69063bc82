//! What goes over the wire about files.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    AgentId, FileId, Metadata,
    api_key::hex,
    knowledge::{IngestState, Stage},
    text::Name,
};
use patchbay_persistence::{chunks, files, ingests};
use patchbay_service::{
    Error, Result, Service,
    knowledge::search::chunk_id,
    knowledge::{settings::embedder, stages::StageProgress},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{answer::Resource, extract::Patch};

/// A file.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0", "name": "prices.pdf", "media_type": "application/pdf", "size_bytes": 48213,
    "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "metadata": {"year": 2026},
    "ingest": {"generation": 1, "state": "done", "stage": "index", "error": null}, "searchable_generation": 1, "revision": 1,
    "created_at": "2026-11-25T20:00:00Z", "updated_at": "2026-11-25T20:00:00Z"
}))]
pub struct File {
    /// Id.
    pub id: FileId,
    /// What it is called.
    #[schema(max_length = 200)]
    name: String,
    /// Its type, told from its content.
    #[schema(max_length = 200)]
    media_type: String,
    /// Size in bytes.
    #[schema(minimum = 0)]
    size_bytes: i64,
    /// SHA-256 of its bytes, in lowercase hexadecimal.
    #[schema(max_length = 64)]
    sha256: String,
    /// Data of your own.
    metadata: Metadata,
    /// The latest ingest; null where there was none.
    ingest: Option<IngestSummary>,
    /// The ingest whose chunks searches see; null where they see none.
    #[schema(minimum = 1)]
    searchable_generation: Option<i32>,
    /// Counts changes.
    #[schema(minimum = 1)]
    revision: i64,
    /// When it was uploaded.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

/// How an ingest stands.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"generation": 1, "state": "done", "stage": "index", "error": null}))]
pub struct IngestSummary {
    /// Counts the ingests of the file.
    #[schema(minimum = 1)]
    generation: i32,
    /// How far it has come.
    state: IngestState,
    /// The stage that it is in, or ended in; null before it began.
    stage: Option<Stage>,
    /// What went wrong.
    error: Option<IngestError>,
}

/// Why an ingest failed, or what keeps it.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"code": "encrypted_pdf", "detail": "The PDF is protected with a password: save it without one."}))]
pub struct IngestError {
    /// Stable code: `encrypted_pdf`, `encrypted`, `no_text_found`, `unsupported_type`, `damaged`, `too_large`, `too_much_memory`,
    /// `timed_out`, `embedding_refused`, `embedding_failed`, `gave_up`; null while it is tried again. New ones may appear.
    #[schema(max_length = 64)]
    code: Option<String>,
    /// What can be done about it.
    #[schema(max_length = 4000)]
    detail: String,
}

fn error(row: &ingests::Ingest) -> Option<IngestError> {
    row.error.clone().map(|detail| IngestError {
        code: row.error_code.clone(),
        detail,
    })
}

impl TryFrom<&ingests::Ingest> for IngestSummary {
    type Error = Error;
    fn try_from(row: &ingests::Ingest) -> Result<Self> {
        Ok(Self {
            generation: row.generation,
            state: row.state,
            stage: row.stage,
            error: error(row),
        })
    }
}

impl Resource for File {
    const VERSIONED: bool = true;
    fn revision(&self) -> Option<i64> {
        Some(self.revision)
    }
}

impl TryFrom<files::WithIngest> for File {
    type Error = Error;
    fn try_from((row, ingest): files::WithIngest) -> Result<Self> {
        let files::File {
            tenant_id: _,
            id,
            object_id: _,
            name,
            media_type,
            size,
            sha256,
            metadata,
            last_generation: _,
            searchable_generation,
            revision,
            created_at,
            updated_at,
        } = row;
        Ok(Self {
            id,
            name,
            media_type,
            size_bytes: size,
            sha256: hex(&sha256),
            metadata,
            ingest: ingest.as_ref().map(IngestSummary::try_from).transpose()?,
            searchable_generation,
            revision,
            created_at,
            updated_at,
        })
    }
}

/// A change of a file.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "prices-2026.pdf", "metadata": {"year": 2026}}))]
pub struct PatchFile {
    /// What it is called.
    #[serde(default)]
    pub name: Patch<Name>,
    /// Merged into the data of your own; null clears it all.
    #[serde(default)]
    pub metadata: Patch<Option<Metadata>>,
}

/// Which files are wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileFilter {
    /// Only files of this name.
    #[schema(max_length = 200)]
    pub name: Option<String>,
    /// Only files of this type.
    #[schema(max_length = 200)]
    pub media_type: Option<String>,
    /// Only files whose latest ingest stands like this.
    #[schema(inline)]
    pub ingest_state: Option<IngestState>,
    /// Only files whose embeddings are like this.
    #[schema(inline)]
    pub embeddings: Option<Embeddings>,
    /// Only files with these bytes, by their SHA-256.
    #[schema(max_length = 64)]
    pub sha256: Option<String>,
    /// Only files of this agent.
    pub agent_id: Option<AgentId>,
}

/// Which model has made the embeddings of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Embeddings {
    /// The one in use.
    Current,
    /// Another: searches by meaning do not see the file until it is ingested again.
    Outdated,
}

impl FileFilter {
    /// As the database has it.
    pub fn stored(&self, service: &Service) -> Result<files::Filter> {
        let byte = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(text, 16).ok()
        };
        let embeddings = match self.embeddings {
            Some(embeddings) => {
                let model = embedder(service)?.model().name.clone();
                Some((embeddings == Embeddings::Current, model))
            }
            None => None,
        };
        Ok(files::Filter {
            embeddings,
            name: self.name.clone(),
            media_type: self.media_type.clone(),
            ingest_state: self.ingest_state,
            // What is no digest finds nothing.
            sha256: self.sha256.as_ref().map(|text| {
                let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
                bytes.unwrap_or_default()
            }),
            metadata: None,
            agent_id: self.agent_id,
        })
    }
}

/// One stage of an ingest.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "stage": "embed", "done": 96, "total": 120, "started_at": "2026-11-25T20:00:01Z", "finished_at": null
}))]
pub struct IngestStage {
    /// The stage.
    stage: Stage,
    /// Pages, or chunks where they are embedded, that are done.
    #[schema(minimum = 0)]
    done: u32,
    /// All of them; 0 while that is not known.
    #[schema(minimum = 0)]
    total: u32,
    /// When it began.
    started_at: DateTime<Utc>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
}

impl From<StageProgress> for IngestStage {
    fn from(progress: StageProgress) -> Self {
        let StageProgress {
            stage,
            done,
            total,
            started_at,
            finished_at,
        } = progress;
        Self {
            stage,
            done,
            total,
            started_at,
            finished_at,
        }
    }
}

/// The latest ingest of a file.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "file_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0", "generation": 1, "state": "running", "stage": "embed",
    "stages": [{"stage": "embed", "done": 96, "total": 120, "started_at": "2026-11-25T20:00:01Z", "finished_at": null}],
    "pages": 12, "chunks": 120, "model": "local/all-minilm-l6-v2/384", "attempts": 1, "error": null, "searchable_generation": null,
    "created_at": "2026-11-25T20:00:00Z", "started_at": "2026-11-25T20:00:00Z", "finished_at": null
}))]
pub struct FileStatus {
    /// The file.
    file_id: FileId,
    /// Counts the ingests of the file; null where there was none.
    #[schema(minimum = 1)]
    generation: Option<i32>,
    /// How far it has come.
    state: Option<IngestState>,
    /// The stage that it is in, or ended in.
    stage: Option<Stage>,
    /// What has been done so far, in order.
    #[schema(max_items = 10)]
    stages: Vec<IngestStage>,
    /// Pages, slides or sheets of the file; 1 where it has none.
    #[schema(minimum = 0)]
    pages: Option<i32>,
    /// Its chunks.
    #[schema(minimum = 0)]
    chunks: Option<i32>,
    /// The model of the embeddings; searches compare those of one model.
    #[schema(max_length = 200)]
    model: Option<String>,
    /// How often it was begun.
    #[schema(minimum = 0)]
    attempts: i32,
    /// What went wrong.
    error: Option<IngestError>,
    /// The ingest whose chunks searches see.
    #[schema(minimum = 1)]
    searchable_generation: Option<i32>,
    /// When it was asked for.
    created_at: Option<DateTime<Utc>>,
    /// When it began.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
}

impl Resource for FileStatus {}

impl TryFrom<files::WithIngest> for FileStatus {
    type Error = Error;
    fn try_from((file, ingest): files::WithIngest) -> Result<Self> {
        let Some(row) = ingest else {
            return Ok(Self::none(&file));
        };
        let summary = IngestSummary::try_from(&row)?;
        let stages: Vec<StageProgress> =
            serde_json::from_value(row.stages).map_err(Error::internal)?;
        Ok(Self {
            generation: Some(row.generation),
            state: Some(summary.state),
            stage: summary.stage,
            stages: stages.into_iter().map(IngestStage::from).collect(),
            pages: row.pages,
            chunks: row.chunks,
            model: Some(row.model),
            attempts: row.attempts,
            error: summary.error,
            created_at: Some(row.created_at),
            started_at: row.started_at,
            finished_at: row.finished_at,
            ..Self::none(&file)
        })
    }
}

impl FileStatus {
    fn none(file: &files::File) -> Self {
        Self {
            file_id: file.id,
            generation: None,
            state: None,
            stage: None,
            stages: Vec::new(),
            pages: None,
            chunks: None,
            model: None,
            attempts: 0,
            error: None,
            searchable_generation: file.searchable_generation,
            created_at: None,
            started_at: None,
            finished_at: None,
        }
    }
}

/// A part of a file that a search can find.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0:1:4", "ordinal": 4, "page": 2, "headings": ["Prices", "Shipping"],
    "starts_at": 3120, "ends_at": 3744, "tokens": 143, "text": "Parcels up to 5 kg cost 4.90."
}))]
pub struct Chunk {
    /// File, generation and place: what a timeline names.
    #[schema(max_length = 64)]
    id: String,
    /// Its place in the file, from 0.
    #[schema(minimum = 0)]
    ordinal: i32,
    /// Page, slide or sheet, from 1; null where there are none.
    #[schema(minimum = 1)]
    page: Option<i32>,
    /// The headings above it, from the outermost in.
    #[schema(max_items = 10)]
    headings: Vec<String>,
    /// Where it begins in the text of the file, in characters.
    #[schema(minimum = 0)]
    starts_at: i32,
    /// Where it ends.
    #[schema(minimum = 0)]
    ends_at: i32,
    /// Tokens of the embedding model.
    #[schema(minimum = 0)]
    tokens: i32,
    /// The text.
    #[schema(max_length = 100_000)]
    text: String,
}

impl From<chunks::Chunk> for Chunk {
    fn from(row: chunks::Chunk) -> Self {
        let chunks::Chunk {
            file_id,
            generation,
            ordinal,
            page,
            headings,
            starts_at,
            ends_at,
            tokens,
            model: _,
            text,
        } = row;
        Self {
            id: chunk_id(file_id, generation, ordinal),
            ordinal,
            page,
            headings,
            starts_at,
            ends_at,
            tokens,
            text,
        }
    }
}
