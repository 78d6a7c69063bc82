//! The job of a file that is to be searchable.
//!
//! Each try is a numbered generation, which its chunks carry. Searches see one generation of a file:
//! the old one until the new one is complete, and then, in one transaction, the new one. A job that
//! was interrupted begins its generation anew.

use std::time::Instant;

use patchbay_documents::{
    Chunk,
    protocol::{Extracted, Progress},
};
use patchbay_domain::{
    FileId, TenantId,
    knowledge::{IngestState, Stage},
};
use patchbay_persistence::{
    TenantTx,
    chunks::{self, Place},
    files::{self, File},
    hnsw,
    ingests::{self, Ingest},
};
use tokio::sync::watch;

use super::{
    embedding::embedded,
    extraction::extract,
    ingest_error::IngestError,
    objects::{key, store},
    settings::{IngestSettings, embedder},
    stages::Stages,
};
use crate::{Error, Service, counters::KnowledgeUse, faults::crash_here};

/// After so many attempts, one that ended without a word is the last: what kills the process would kill it
/// for ever.
const MOST_ATTEMPTS: i32 = 8;

/// Chunks that are embedded and stored at a time.
const BATCH: usize = 32;

/// Least time between two notes of progress.
const NOTE_EVERY: std::time::Duration = std::time::Duration::from_millis(500);

/// Runs the job.
#[tracing::instrument(skip_all, fields(%tenant, %id), err(level = "warn"))]
pub async fn run(service: &Service, tenant: TenantId, id: FileId) -> Result<(), IngestError> {
    let mut tx = service.db.begin(tenant).await?;
    let found = files::find(&mut tx, id).await?;
    tx.finish();
    let Some((file, Some(ingest))) = found else {
        return Ok(());
    };
    if ingest.finished_at.is_some() {
        return Ok(());
    }
    let mut work = Work {
        service,
        file,
        ingest,
        language: "english",
        stages: Stages::default(),
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
    service: &'a Service,
    file: File,
    ingest: Ingest,
    language: &'static str,
    stages: Stages,
    noted: Option<Instant>,
}

impl Work<'_> {
    async fn all(&mut self) -> Result<(), IngestError> {
        let silent = self.ingest.error.is_none();
        self.begin_attempt().await?;
        if self.ingest.attempts > MOST_ATTEMPTS && silent {
            let detail = "It was begun several times, and never came to its end or said why.";
            return Err(IngestError::Failed("gave_up".to_owned(), detail.to_owned()));
        }
        let now = self.service.clock.now();
        self.ingest.started_at.get_or_insert(now);
        self.ingest.state = IngestState::Running;
        if self.reuse().await? {
            return Ok(());
        }
        let extracted = self.extract().await?;
        crash_here(self.service, "after_extract");
        let pages = i32::try_from(extracted.pages).unwrap_or(i32::MAX);
        self.ingest.pages = Some(pages);
        self.embed(extracted.chunks).await?;
        crash_here(self.service, "after_embed");
        self.index().await
    }

    /// From here on, what an earlier attempt still does is void.
    async fn begin_attempt(&mut self) -> Result<(), IngestError> {
        let place = (self.file.id, self.ingest.generation);
        let mut tx = self.service.db.begin(self.file.tenant_id).await?;
        let attempt = ingests::begin_attempt(&mut tx, place).await?;
        self.ingest.attempts = attempt.ok_or(IngestError::Gone)?;
        let settings = IngestSettings::now(self.service, &mut tx, &self.file).await?;
        (self.ingest.model, self.ingest.settings) = (settings.model, settings.digest);
        (self.ingest.error, self.language) = (None, settings.language);
        self.store(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes the chunks of another file of the same bytes, if there are some.
    async fn reuse(&mut self) -> Result<bool, IngestError> {
        let mut tx = self.service.db.begin(self.file.tenant_id).await?;
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
        self.enter(Stage::Index, 0);
        self.publish(tx).await?;
        Ok(true)
    }

    async fn extract(&mut self) -> Result<Extracted, IngestError> {
        self.enter(Stage::Extract, 0);
        self.note().await?;
        let service = self.service;
        let size = u64::try_from(self.file.size).unwrap_or_default();
        let key = key(service, self.file.tenant_id, self.file.object_id);
        let bytes = store(service)?.download(&key, 0, size).await;
        let bytes = bytes.map_err(|error| IngestError::Again(error.to_string()))?;
        let bytes = (bytes, size);
        let media = self.file.media_type.clone();
        let (report, mut reported) = watch::channel((Stage::Extract, 0, 0));
        let mut work = std::pin::pin!(extract(service, &media, bytes, &report));
        let extracted = loop {
            tokio::select! {
                extracted = &mut work => break extracted?,
                Ok(()) = reported.changed() => {
                    let now = *reported.borrow_and_update();
                    self.progress(now).await;
                }
            }
        };
        let last = *reported.borrow();
        self.progress(last).await;
        Ok(extracted)
    }

    async fn embed(&mut self, all: Vec<Chunk>) -> Result<(), IngestError> {
        let total = u32::try_from(all.len()).unwrap_or(u32::MAX);
        self.ingest.chunks = Some(i32::try_from(all.len()).unwrap_or(i32::MAX));
        self.enter(Stage::Embed, total);
        self.note().await?;
        let mut tx = self.service.db.begin(self.file.tenant_id).await?;
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
            let began = Instant::now();
            let rows = embedded(embedder(self.service)?, batch, first).await?;
            let used = KnowledgeUse {
                searches: 0,
                embedding_seconds: began.elapsed().as_secs_f64(),
            };
            self.service
                .counters
                .note_knowledge(self.file.tenant_id, used);
            done += u32::try_from(batch.len()).unwrap_or(u32::MAX);
            self.stages.set_done(done);
            let mut tx = self.service.db.begin(self.file.tenant_id).await?;
            chunks::insert(&mut tx, &place, &rows).await?;
            self.store(&mut tx).await?;
            tx.commit().await?;
            crash_here(self.service, "mid_embed");
        }
        Ok(())
    }

    /// Searches see this generation from here on, and no other.
    async fn index(&mut self) -> Result<(), IngestError> {
        self.enter(Stage::Index, 0);
        let tx = self.service.db.begin(self.file.tenant_id).await?;
        self.publish(tx).await?;
        self.look_for_index().await
    }

    /// The operator hears of a tenant whose searches would be faster with an index.
    async fn look_for_index(&self) -> Result<(), IngestError> {
        let most = self.service.settings.knowledge.index.search_exact_chunks;
        let mut tx = self.service.db.begin(self.file.tenant_id).await?;
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

    async fn publish(&mut self, mut tx: TenantTx) -> Result<(), IngestError> {
        let file = files::lock(&mut tx, self.file.id).await?;
        let mut file = file.ok_or(IngestError::Gone)?;
        file.searchable_generation = Some(self.ingest.generation);
        chunks::delete_others(&mut tx, file.id, self.ingest.generation).await?;
        files::update(&mut tx, &file).await?;
        let now = self.service.clock.now();
        self.stages.close(now);
        self.ingest.state = IngestState::Done;
        self.ingest.finished_at = Some(now);
        (self.ingest.error_code, self.ingest.error) = (None, None);
        self.store(&mut tx).await?;
        crash_here(self.service, "in_publish");
        tx.commit().await?;
        Ok(())
    }

    async fn fail(&mut self, code: String, detail: String) -> Result<(), IngestError> {
        let mut tx = self.service.db.begin(self.file.tenant_id).await?;
        self.ingest.state = IngestState::Failed;
        self.ingest.finished_at = Some(self.service.clock.now());
        self.ingest.error_code = Some(code);
        self.ingest.error = Some(detail);
        self.store(&mut tx).await?;
        chunks::delete(&mut tx, self.file.id, self.ingest.generation).await?;
        tx.commit().await?;
        Ok(())
    }

    fn enter(&mut self, stage: Stage, total: u32) {
        self.stages.enter(stage, total, self.service.clock.now());
        self.ingest.stage = Some(stage);
    }

    async fn progress(&mut self, (stage, done, total): Progress) {
        let changes = self.stages.current() != Some(stage);
        if changes {
            self.enter(stage, total);
        }
        self.stages.set_progress(done, total);
        let is_due = self.noted.is_none_or(|noted| noted.elapsed() >= NOTE_EVERY);
        if changes || is_due {
            // The next note will do as well.
            if let Err(error) = self.note().await {
                tracing::warn!(%error, "the progress of an ingest was not noted");
            }
        }
    }

    async fn note(&mut self) -> Result<(), IngestError> {
        self.noted = Some(Instant::now());
        let mut tx = self.service.db.begin(self.file.tenant_id).await?;
        self.store(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn store(&mut self, tx: &mut TenantTx) -> Result<(), IngestError> {
        let stages = serde_json::to_value(&self.stages.0).map_err(Error::internal)?;
        self.ingest.stages = stages;
        match ingests::update(tx, &self.ingest).await? {
            true => Ok(()),
            false => Err(IngestError::Gone),
        }
    }
}
