//! Request and response types of files.

use patchbay_domain::{
    AgentId, FileId, Metadata,
    api_key::hex,
    knowledge::{IngestState, Stage},
    text::{Name, Text},
};
use patchbay_persistence::{chunks, files, ingests};
use patchbay_service::{
    Error, Result, Service,
    knowledge::search::chunk_id,
    knowledge::{settings::embedder, stages::StageProgress},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    extract::Patch, openapi::vocabulary::IngestErrorCode, response::Resource, timestamp::Timestamp,
};

/// An uploaded file.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = StoredFile, example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0", "name": "prices.pdf", "media_type": "application/pdf", "size_bytes": 48213,
    "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "metadata": {"year": 2026},
    "ingest": {"generation": 1, "state": "done", "stage": "index", "error": null}, "searchable_generation": 1, "revision": 1,
    "created_at": "2026-11-25T20:00:00Z", "updated_at": "2026-11-25T20:00:00Z"
}))]
pub struct File {
    /// Id of the file.
    pub id: FileId,
    /// Name of the file.
    #[schema(max_length = 200)]
    name: String,
    /// Media type, detected from the content.
    #[schema(max_length = 200)]
    media_type: String,
    /// Size in bytes.
    #[schema(minimum = 0)]
    size_bytes: i64,
    /// SHA-256 of the content, in lowercase hexadecimal.
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    /// Custom metadata, a JSON object of at most 16 KiB.
    metadata: Metadata,
    /// Latest ingest; null if the file was never ingested.
    ingest: Option<IngestSummary>,
    /// Generation of the ingest whose chunks are searched; null if the file is not searchable.
    #[schema(minimum = 1)]
    searchable_generation: Option<i32>,
    /// Revision number, incremented with every change.
    #[schema(minimum = 1)]
    revision: i64,
    /// Time at which the file was uploaded.
    created_at: Timestamp,
    /// Time at which the file was last changed.
    updated_at: Timestamp,
}

/// Summary of an ingest.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"generation": 1, "state": "done", "stage": "index", "error": null}))]
pub struct IngestSummary {
    /// Generation number of the ingest, counted from 1 for each file.
    #[schema(minimum = 1)]
    generation: i32,
    /// State of the ingest.
    state: IngestState,
    /// Current or last stage; null before the ingest has started.
    stage: Option<Stage>,
    /// Error of the ingest; null if there is none.
    error: Option<IngestError>,
}

/// Error of an ingest that has failed or is being retried.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"code": "encrypted_pdf", "message": "The PDF is protected with a password: save it without one."}))]
pub struct IngestError {
    /// Stable error code. New codes may be added. Null while the ingest is being retried.
    #[schema(value_type = Option<IngestErrorCode>)]
    code: Option<String>,
    /// Human-readable explanation of the error and how to fix it.
    #[schema(max_length = 4000)]
    message: String,
}

fn error(row: &ingests::Ingest) -> Option<IngestError> {
    row.error.clone().map(|message| IngestError {
        code: row.error_code.clone(),
        message,
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
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        })
    }
}

/// Request to update a file.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "prices-2026.pdf", "metadata": {"year": 2026}}))]
pub struct PatchFile {
    /// Name of the file.
    #[serde(default)]
    pub name: Patch<Name>,
    /// Metadata to merge into the stored metadata; null clears it.
    #[serde(default)]
    pub metadata: Patch<Option<Metadata>>,
}

/// Filters for listing files.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileFilter {
    /// Only files whose name begins with this, in upper or lower case.
    #[schema(max_length = 200)]
    pub name: Option<String>,
    /// Only files of this media type.
    #[schema(max_length = 200)]
    pub media_type: Option<String>,
    /// Only files whose latest ingest is in this state.
    #[schema(inline)]
    pub ingest_state: Option<IngestState>,
    /// Only files whose embeddings are from the current model (`current`) or another one (`outdated`).
    #[schema(inline)]
    pub embeddings: Option<Embeddings>,
    /// Only files whose content has this SHA-256.
    #[schema(max_length = 64, pattern = "^[0-9A-Fa-f]{64}$")]
    pub sha256: Option<String>,
    /// Only files attached to this agent.
    pub agent_id: Option<AgentId>,
}

/// Whether the embeddings of a file are from the current embedding model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Embeddings {
    /// From the current embedding model.
    Current,
    /// From another model: semantic searches skip the file until it is ingested again.
    Outdated,
}

impl FileFilter {
    /// Converts to the filter of the database query. Fails if it refers to embeddings and no embedding model is
    /// configured.
    pub fn to_query(&self, service: &Service) -> Result<files::Filter> {
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
            sha256: self.sha256.as_ref().map(|text| {
                let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
                bytes.unwrap_or_default()
            }),
            metadata: None,
            agent_id: self.agent_id,
        })
    }
}

/// Progress of one stage of an ingest.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "stage": "embed", "done": 96, "total": 120, "started_at": "2026-11-25T20:00:01Z", "finished_at": null
}))]
pub struct IngestStage {
    /// Stage of the ingest.
    stage: Stage,
    /// Number of processed pages, or of chunks in the stage `embed`.
    #[schema(minimum = 0)]
    done: u32,
    /// Total number of pages or chunks; 0 while unknown.
    #[schema(minimum = 0)]
    total: u32,
    /// Time at which the stage started.
    started_at: Timestamp,
    /// Time at which the stage finished; null if it has not.
    finished_at: Option<Timestamp>,
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
            started_at: started_at.into(),
            finished_at: Timestamp::optional(finished_at),
        }
    }
}

/// Ingest status of a file.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "file_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0", "generation": 1, "state": "running", "stage": "embed",
    "stages": [{"stage": "embed", "done": 96, "total": 120, "started_at": "2026-11-25T20:00:01Z", "finished_at": null}],
    "pages": 12, "chunks": 120, "model": "local/all-minilm-l6-v2/384", "attempts": 1, "error": null, "searchable_generation": null,
    "created_at": "2026-11-25T20:00:00Z", "started_at": "2026-11-25T20:00:00Z", "finished_at": null
}))]
pub struct FileStatus {
    /// Id of the file.
    file_id: FileId,
    /// Generation number of the latest ingest; null if the file was never ingested.
    #[schema(minimum = 1)]
    generation: Option<i32>,
    /// State of the latest ingest.
    state: Option<IngestState>,
    /// Current or last stage of the latest ingest.
    stage: Option<Stage>,
    /// Stages that have been started so far, in order.
    #[schema(max_items = 10)]
    stages: Vec<IngestStage>,
    /// Number of pages, slides or sheets; 1 for files without pages.
    #[schema(minimum = 0)]
    pages: Option<i32>,
    /// Number of chunks.
    #[schema(minimum = 0)]
    chunks: Option<i32>,
    /// Embedding model. Searches only compare embeddings of the same model.
    #[schema(max_length = 200)]
    model: Option<String>,
    /// Number of attempts.
    #[schema(minimum = 0)]
    attempts: i32,
    /// Error of the latest ingest; null if there is none.
    error: Option<IngestError>,
    /// Generation of the ingest whose chunks are searched; null if the file is not searchable.
    #[schema(minimum = 1)]
    searchable_generation: Option<i32>,
    /// Time at which the ingest was requested.
    created_at: Option<Timestamp>,
    /// Time at which the ingest started; null if it has not.
    started_at: Option<Timestamp>,
    /// Time at which the ingest finished; null if it has not.
    finished_at: Option<Timestamp>,
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
            created_at: Some(row.created_at.into()),
            started_at: Timestamp::optional(row.started_at),
            finished_at: Timestamp::optional(row.finished_at),
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

/// A searchable part of a file.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0:1:4", "ordinal": 4, "page": 2, "headings": ["Prices", "Shipping"],
    "start_offset": 3120, "end_offset": 3744, "tokens": 143, "text": "Parcels up to 5 kg cost 4.90."
}))]
pub struct Chunk {
    /// Id of the chunk, as in search results and session timelines: file id, generation and ordinal, joined with `:`.
    #[schema(max_length = 64)]
    id: String,
    /// Position of the chunk in the file, counted from 0.
    #[schema(minimum = 0)]
    ordinal: i32,
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
    /// Number of tokens of the embedding model.
    #[schema(minimum = 0)]
    tokens: i32,
    /// Text of the chunk.
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
            start_offset: starts_at,
            end_offset: ends_at,
            tokens,
            text,
        }
    }
}
