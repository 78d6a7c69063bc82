//! The job of a file that is to be searchable.
//!
//! Each try is a numbered generation, which its chunks carry. Searches see one generation of a file:
//! the old one until the new one is complete, and then, in one transaction, the new one. A job that
//! was interrupted begins its generation anew.

use chrono::{DateTime, Utc};
use patchbay_documents::{
    Chunk,
    protocol::{Extracted, Progress},
};
use patchbay_domain::{
    FileId, TenantId,
    knowledge::{IngestState, Stage},
};
use patchbay_persistence::{
    Error as DbError, TenantTx,
    chunks::{self, NewChunk, Place},
    files::{self, File},
    hnsw,
    ingests::{self, Ingest},
    jobs,
};
use patchbay_vectors::{Embedder, Purpose};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;

use super::{
    extraction::{Fault, extract},
    objects::{key, store},
    recipe::{Recipe, embedder},
    sync::crash_here,
};
use crate::{
    app::App,
    error::{ApiError, Result},
};

/// After so many attempts, one that ended without a word is the last: what kills the process would kill it
/// for ever.
const MOST_ATTEMPTS: i32 = 8;
/// Chunks that are embedded and stored at a time.
const BATCH: usize = 32;
/// Least time between two notes of progress.
const NOTE_EVERY: std::time::Duration = std::time::Duration::from_millis(500);

/// How far one stage has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageProgress {
    /// The stage.
    pub stage: Stage,
    /// Pages or chunks that are done.
    pub done: u32,
    /// All of them; 0 while that is not known.
    pub total: u32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Begins the next generation of a file, whose row is locked or new.
pub async fn ask(app: &App, tx: &mut TenantTx, file: &mut File) -> Result<Ingest> {
    let recipe = Recipe::now(app, tx, file).await?;
    file.last_generation += 1;
    files::update(tx, file).await?;
    let ingest = Ingest {
        tenant_id: tx.tenant(),
        file_id: file.id,
        generation: file.last_generation,
        state: IngestState::Pending.as_str().to_owned(),
        stage: None,
        stages: json!([]),
        settings: recipe.digest,
        model: recipe.model,
        pages: None,
        chunks: None,
        error_code: None,
        error: None,
        attempts: 0,
        created_at: app.clock.now(),
        started_at: None,
        finished_at: None,
    };
    ingests::insert(tx, &ingest).await?;
    let (tenant, now) = (tx.tenant(), app.clock.now());
    jobs::enqueue(tx, jobs::INGEST, file.id.uuid(), Some(tenant), now).await?;
    Ok(ingest)
}

/// Why an ingest did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Worth another try.
    #[error("{0}")]
    Again(String),
    /// For good: a code, and words.
    #[error("{0}: {1}")]
    Failed(String, String),
    /// The file was deleted meanwhile, or another attempt has begun.
    #[error("the file or the attempt is gone")]
    Gone,
}

impl From<ApiError> for IngestError {
    fn from(error: ApiError) -> Self {
        Self::Again(error.to_string())
    }
}

impl From<DbError> for IngestError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::ForeignKey(_) => Self::Gone,
            error => Self::Again(error.to_string()),
        }
    }
}

impl From<Fault> for IngestError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::File(code, detail) => Self::Failed(code, detail),
            Fault::Ours(why) => Self::Again(why),
        }
    }
}

impl From<patchbay_vectors::Error> for IngestError {
    fn from(error: patchbay_vectors::Error) -> Self {
        match error {
            patchbay_vectors::Error::Refused(why) => {
                tracing::error!(%why, "the embedding provider refuses");
                let detail =
                    "The embedding provider refuses; the operator finds the cause in the log.";
                Self::Failed("embedding_refused".to_owned(), detail.to_owned())
            }
            patchbay_vectors::Error::Panicked => {
                let detail = "The embedding model cannot take its text; the operator finds the cause in the log.";
                Self::Failed("embedding_failed".to_owned(), detail.to_owned())
            }
            error => Self::Again(error.to_string()),
        }
    }
}

/// Runs the job.
#[tracing::instrument(skip_all, fields(%tenant, %id), err(level = "warn"))]
pub async fn run(app: &App, tenant: TenantId, id: FileId) -> std::result::Result<(), IngestError> {
    let mut tx = app.db.begin(tenant).await?;
    let found = files::find(&mut tx, id).await?;
    tx.finish();
    let Some((file, Some(ingest))) = found else {
        return Ok(());
    };
    if ingest.finished_at.is_some() {
        return Ok(());
    }
    let mut work = Work {
        app,
        file,
        ingest,
        language: "english",
        stages: Vec::new(),
        noted: None,
    };
    let outcome = match work.all().await {
        Err(IngestError::Failed(code, detail)) => work.fail(code, detail).await,
        Err(IngestError::Again(cause)) => {
            // The cause is for the log: it names what tenants have no business knowing.
            let detail = "Something that this depends on cannot be reached; it is tried again.";
            work.ingest.error = Some(detail.to_owned());
            work.note().await.and(Err(IngestError::Again(cause)))
        }
        outcome => outcome,
    };
    match outcome {
        // Another attempt goes on with it, or nobody needs it any more.
        Err(IngestError::Gone) => Ok(()),
        outcome => outcome,
    }
}

/// An ingest under way.
struct Work<'a> {
    app: &'a App,
    file: File,
    ingest: Ingest,
    language: &'static str,
    stages: Vec<StageProgress>,
    noted: Option<std::time::Instant>,
}

impl Work<'_> {
    async fn all(&mut self) -> std::result::Result<(), IngestError> {
        let silent = self.ingest.error.is_none();
        self.begin_attempt().await?;
        if self.ingest.attempts > MOST_ATTEMPTS && silent {
            let detail = "It was begun several times, and never came to its end or said why.";
            return Err(IngestError::Failed("gave_up".to_owned(), detail.to_owned()));
        }
        let now = self.app.clock.now();
        self.ingest.started_at.get_or_insert(now);
        self.ingest.state = IngestState::Running.as_str().to_owned();
        if self.reuse().await? {
            return Ok(());
        }
        let extracted = self.extract().await?;
        crash_here(self.app, "after_extract");
        let pages = i32::try_from(extracted.pages).unwrap_or(i32::MAX);
        self.ingest.pages = Some(pages);
        self.embed(extracted.chunks).await?;
        crash_here(self.app, "after_embed");
        self.index().await
    }

    /// From here on, what an earlier attempt still does is void.
    async fn begin_attempt(&mut self) -> std::result::Result<(), IngestError> {
        let place = (self.file.id, self.ingest.generation);
        let mut tx = self.app.db.begin(self.file.tenant_id).await?;
        let attempt = ingests::begin_attempt(&mut tx, place).await?;
        self.ingest.attempts = attempt.ok_or(IngestError::Gone)?;
        let recipe = Recipe::now(self.app, &mut tx, &self.file).await?;
        (self.ingest.model, self.ingest.settings) = (recipe.model, recipe.digest);
        (self.ingest.error, self.language) = (None, recipe.language);
        self.store(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes the chunks of another file of the same bytes, if there are some.
    async fn reuse(&mut self) -> std::result::Result<bool, IngestError> {
        let mut tx = self.app.db.begin(self.file.tenant_id).await?;
        let (object, settings) = (self.file.object_id, &self.ingest.settings);
        let alike = ingests::alike(&mut tx, object, settings).await?;
        let Some(alike) = alike.filter(|alike| alike.file_id != self.file.id) else {
            tx.finish();
            return Ok(false);
        };
        let to = (self.file.id, self.ingest.generation);
        chunks::delete(&mut tx, to.0, to.1).await?;
        let from = (alike.file_id, alike.generation);
        let count = match chunks::copy(&mut tx, from, to).await {
            Ok(count) => count,
            Err(error) => {
                tracing::warn!(%error, "chunks could not be copied; the file is read");
                return Ok(false);
            }
        };
        if Some(count) != alike.chunks.and_then(|count| usize::try_from(count).ok()) {
            // It is being replaced just now.
            return Ok(false);
        }
        (self.ingest.pages, self.ingest.chunks) = (alike.pages, alike.chunks);
        self.begin(Stage::Index, 0);
        self.publish(tx).await?;
        Ok(true)
    }

    async fn extract(&mut self) -> std::result::Result<Extracted, IngestError> {
        self.begin(Stage::Extract, 0);
        self.note().await?;
        let app = self.app;
        let size = u64::try_from(self.file.size).unwrap_or_default();
        let key = key(app, self.file.tenant_id, self.file.object_id);
        let bytes = store(app)?.download(&key, 0, size).await;
        let bytes = bytes.map_err(|error| IngestError::Again(error.to_string()))?;
        let bytes = (bytes, size);
        let media = self.file.media_type.clone();
        let (told, mut seen) = watch::channel((Stage::Extract, 0, 0));
        let mut work = std::pin::pin!(extract(app, &media, bytes, &told));
        let extracted = loop {
            tokio::select! {
                extracted = &mut work => break extracted?,
                Ok(()) = seen.changed() => {
                    let now = *seen.borrow_and_update();
                    self.progress(now).await;
                }
            }
        };
        let last = *seen.borrow();
        self.progress(last).await;
        Ok(extracted)
    }

    async fn embed(&mut self, all: Vec<Chunk>) -> std::result::Result<(), IngestError> {
        let total = u32::try_from(all.len()).unwrap_or(u32::MAX);
        self.ingest.chunks = Some(i32::try_from(all.len()).unwrap_or(i32::MAX));
        self.begin(Stage::Embed, total);
        self.note().await?;
        let mut tx = self.app.db.begin(self.file.tenant_id).await?;
        let place = Place {
            file: self.file.id,
            generation: self.ingest.generation,
            model: self.ingest.model.clone(),
            language: self.language.to_owned(),
        };
        self.store(&mut tx).await?;
        chunks::delete(&mut tx, place.file, place.generation).await?;
        tx.commit().await?;
        let mut done = 0_u32;
        for batch in all.chunks(BATCH) {
            let first = i32::try_from(done).unwrap_or(i32::MAX);
            let began = std::time::Instant::now();
            let rows = embedded(embedder(self.app)?, batch, first).await?;
            let seconds = began.elapsed().as_secs_f64();
            self.app.note_knowledge_use(self.file.tenant_id, 0, seconds);
            done += u32::try_from(batch.len()).unwrap_or(u32::MAX);
            if let Some(stage) = self.stages.last_mut() {
                stage.done = done;
            }
            let mut tx = self.app.db.begin(self.file.tenant_id).await?;
            chunks::insert(&mut tx, &place, &rows).await?;
            self.store(&mut tx).await?;
            tx.commit().await?;
            crash_here(self.app, "mid_embed");
        }
        Ok(())
    }

    /// Searches see this generation from here on, and no other.
    async fn index(&mut self) -> std::result::Result<(), IngestError> {
        self.begin(Stage::Index, 0);
        let tx = self.app.db.begin(self.file.tenant_id).await?;
        self.publish(tx).await?;
        self.look_for_index().await
    }

    /// The operator hears of a tenant whose searches would be faster with an index.
    async fn look_for_index(&self) -> std::result::Result<(), IngestError> {
        let most = self.app.settings.knowledge.index.search_exact_chunks;
        let mut tx = self.app.db.begin(self.file.tenant_id).await?;
        let missing = hnsw::missing(&mut tx, &self.ingest.model, most).await?;
        tx.finish();
        let own = i64::from(self.ingest.chunks.unwrap_or_default());
        // Said once in a while, not with each file.
        if let Some(chunks) = missing.filter(|all| (all - own) / most < all / most) {
            let tenant = self.file.tenant_id;
            tracing::warn!(%tenant, chunks, "searches compare every chunk; run `patchbay-api index`");
        }
        Ok(())
    }

    async fn publish(&mut self, mut tx: TenantTx) -> std::result::Result<(), IngestError> {
        let file = files::lock(&mut tx, self.file.id).await?;
        let mut file = file.ok_or(IngestError::Gone)?;
        file.searchable_generation = Some(self.ingest.generation);
        chunks::delete_others(&mut tx, file.id, self.ingest.generation).await?;
        files::update(&mut tx, &file).await?;
        let now = self.app.clock.now();
        self.close_stage(now);
        self.ingest.state = IngestState::Done.as_str().to_owned();
        self.ingest.finished_at = Some(now);
        (self.ingest.error_code, self.ingest.error) = (None, None);
        self.store(&mut tx).await?;
        crash_here(self.app, "in_publish");
        tx.commit().await?;
        Ok(())
    }

    async fn fail(&mut self, code: String, detail: String) -> std::result::Result<(), IngestError> {
        let mut tx = self.app.db.begin(self.file.tenant_id).await?;
        self.ingest.state = IngestState::Failed.as_str().to_owned();
        self.ingest.finished_at = Some(self.app.clock.now());
        self.ingest.error_code = Some(code);
        self.ingest.error = Some(detail);
        self.store(&mut tx).await?;
        chunks::delete(&mut tx, self.file.id, self.ingest.generation).await?;
        tx.commit().await?;
        Ok(())
    }

    fn begin(&mut self, stage: Stage, total: u32) {
        let now = self.app.clock.now();
        self.close_stage(now);
        self.ingest.stage = Some(stage.as_str().to_owned());
        self.stages.push(StageProgress {
            stage,
            done: 0,
            total,
            started_at: now,
            finished_at: None,
        });
    }

    fn close_stage(&mut self, now: DateTime<Utc>) {
        if let Some(last) = self.stages.last_mut() {
            last.finished_at.get_or_insert(now);
            last.done = last.done.max(last.total);
        }
    }

    async fn progress(&mut self, (stage, done, total): Progress) {
        let changes = self.stages.last().is_none_or(|last| last.stage != stage);
        if changes {
            self.begin(stage, total);
        }
        if let Some(last) = self.stages.last_mut() {
            (last.done, last.total) = (done, total);
        }
        let is_due = self.noted.is_none_or(|noted| noted.elapsed() >= NOTE_EVERY);
        if changes || is_due {
            // The next note will do as well.
            if let Err(error) = self.note().await {
                tracing::warn!(%error, "the progress of an ingest was not noted");
            }
        }
    }

    async fn note(&mut self) -> std::result::Result<(), IngestError> {
        self.noted = Some(std::time::Instant::now());
        let mut tx = self.app.db.begin(self.file.tenant_id).await?;
        self.store(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn store(&mut self, tx: &mut TenantTx) -> std::result::Result<(), IngestError> {
        let stages = serde_json::to_value(&self.stages).map_err(ApiError::internal)?;
        self.ingest.stages = stages;
        match ingests::update(tx, &self.ingest).await? {
            true => Ok(()),
            false => Err(IngestError::Gone),
        }
    }
}

/// The rows of a batch. What a chunk stands under is part of its meaning.
async fn embedded(
    embedder: &dyn Embedder,
    batch: &[Chunk],
    first: i32,
) -> std::result::Result<Vec<NewChunk>, IngestError> {
    let text = |chunk: &Chunk| match &*chunk.headings {
        [] => chunk.text.clone(),
        headings => format!("{}\n{}", headings.join(" > "), chunk.text),
    };
    let texts = batch.iter().map(text).collect();
    let embeddings = embedder.embed(texts, Purpose::Document).await?;
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let rows = (first..).zip(batch).zip(embeddings);
    let row = |((ordinal, chunk), embedding): ((i32, &Chunk), _)| NewChunk {
        ordinal,
        page: chunk.page.and_then(|page| i32::try_from(page).ok()),
        headings: chunk.headings.clone(),
        starts_at: number(chunk.starts_at),
        ends_at: number(chunk.ends_at),
        tokens: number(chunk.tokens),
        embedding,
        text: chunk.text.clone(),
    };
    Ok(rows.map(row).collect())
}
