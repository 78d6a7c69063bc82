//! The job that ingests a file, which makes it searchable.
//!
//! Each ingest is a numbered generation of chunks. Searches see exactly one generation of a file: the old one until
//! the new one is complete, then the new one, switched in one transaction. An interrupted job starts its generation
//! again.

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
    embedding::embed_batch,
    extraction::extract,
    ingest_error::IngestError,
    objects::{object_key, require_store},
    settings::{IngestSettings, embedder},
    stages::Stages,
};
use crate::{Error, Service, counters::KnowledgeUse, faults::crash_here};

/// Maximum number of attempts if the last one ended without an error: a file that crashes the process would crash
/// it every time.
const MAX_ATTEMPTS: i32 = 8;

/// Number of chunks that are embedded and stored together.
const BATCH: usize = 32;

/// Minimum time between two updates of the progress.
const PROGRESS_INTERVAL: std::time::Duration = std::time::Duration::from_millis(500);

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
    let mut attempt = Attempt {
        service,
        file,
        ingest,
        language: "english",
        stages: Stages::default(),
        saved_at: None,
    };
    let outcome = match attempt.run().await {
        Err(IngestError::Failed(code, detail)) => attempt.fail(code, detail).await,
        Err(IngestError::Temporary(cause)) => {
            // The cause goes to the log only, because it has internal details of the installation.
            let detail = "A dependency is unavailable; the ingest is retried.";
            attempt.ingest.error = Some(detail.to_owned());
            attempt.stages.fail(service.clock.now());
            attempt
                .save_progress()
                .await
                .and(Err(IngestError::Temporary(cause)))
        }
        outcome => outcome,
    };
    match outcome {
        // Another attempt continues, or the file was deleted.
        Err(IngestError::Superseded) => Ok(()),
        outcome => outcome,
    }
}

/// One attempt of an ingest.
struct Attempt<'a> {
    service: &'a Service,
    file: File,
    ingest: Ingest,
    language: &'static str,
    stages: Stages,
    saved_at: Option<Instant>,
}

impl Attempt<'_> {
    async fn run(&mut self) -> Result<(), IngestError> {
        let has_no_error = self.ingest.error.is_none();
        self.begin_attempt().await?;
        if self.ingest.attempts > MAX_ATTEMPTS && has_no_error {
            let detail =
                "The ingest was attempted several times, and never completed or reported an error.";
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

    /// Starts this attempt. From here on, writes of earlier attempts are rejected.
    async fn begin_attempt(&mut self) -> Result<(), IngestError> {
        let place = (self.file.id, self.ingest.generation);
        let mut tx = self.service.db.begin(self.file.tenant_id).await?;
        let attempt = ingests::begin_attempt(&mut tx, place).await?;
        self.ingest.attempts = attempt.ok_or(IngestError::Superseded)?;
        let settings = IngestSettings::current(self.service, &mut tx, &self.file).await?;
        (self.ingest.model, self.ingest.settings) = (settings.model, settings.digest);
        (self.ingest.error, self.language) = (None, settings.language);
        self.store(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Copies the chunks of another file with the same content and settings, if there is one. Returns whether the
    /// ingest is complete.
    async fn reuse(&mut self) -> Result<bool, IngestError> {
        let mut tx = self.service.db.begin(self.file.tenant_id).await?;
        let (object, settings) = (self.file.object_id, &self.ingest.settings);
        let equivalent = ingests::find_equivalent(&mut tx, object, settings).await?;
        let Some(equivalent) = equivalent.filter(|equivalent| equivalent.file_id != self.file.id)
        else {
            tx.finish();
            return Ok(false);
        };
        let to = (self.file.id, self.ingest.generation);
        chunks::delete(&mut tx, to.0, to.1).await?;
        let from = (equivalent.file_id, equivalent.generation);
        let count = match chunks::copy(&mut tx, from, to).await {
            Ok(count) => count,
            Err(error) => {
                tracing::warn!(%error, "chunks could not be copied; the file is extracted instead");
                return Ok(false);
            }
        };
        if Some(count)
            != equivalent
                .chunks
                .and_then(|count| usize::try_from(count).ok())
        {
            // The other generation is being replaced at this moment.
            return Ok(false);
        }
        (self.ingest.pages, self.ingest.chunks) = (equivalent.pages, equivalent.chunks);
        self.enter(Stage::Index, 0);
        self.publish(tx).await?;
        Ok(true)
    }

    async fn extract(&mut self) -> Result<Extracted, IngestError> {
        self.enter(Stage::Extract, 0);
        self.save_progress().await?;
        let service = self.service;
        let size = u64::try_from(self.file.size).unwrap_or_default();
        let key = object_key(service, self.file.tenant_id, self.file.object_id);
        let bytes = require_store(service)?.download(&key, 0, size).await;
        let bytes = bytes.map_err(|error| IngestError::Temporary(error.to_string()))?;
        let bytes = (bytes, size);
        let media = self.file.media_type.clone();
        let (sender, mut receiver) = watch::channel((Stage::Extract, 0, 0));
        let mut extraction = std::pin::pin!(extract(service, &media, bytes, &sender));
        let extracted = loop {
            tokio::select! {
                extracted = &mut extraction => break extracted?,
                Ok(()) = receiver.changed() => {
                    let now = *receiver.borrow_and_update();
                    self.update_progress(now).await;
                }
            }
        };
        let last = *receiver.borrow();
        self.update_progress(last).await;
        Ok(extracted)
    }

    async fn embed(&mut self, chunks: Vec<Chunk>) -> Result<(), IngestError> {
        let total = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        self.ingest.chunks = Some(i32::try_from(chunks.len()).unwrap_or(i32::MAX));
        self.enter(Stage::Embed, total);
        self.save_progress().await?;
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
        for batch in chunks.chunks(BATCH) {
            let first = i32::try_from(done).unwrap_or(i32::MAX);
            let start = Instant::now();
            let rows = embed_batch(embedder(self.service)?, batch, first).await?;
            let used = KnowledgeUse {
                searches: 0,
                embedding_seconds: start.elapsed().as_secs_f64(),
            };
            self.service
                .counters
                .record_knowledge_use(self.file.tenant_id, used);
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

    /// Makes this generation the searchable one.
    async fn index(&mut self) -> Result<(), IngestError> {
        self.enter(Stage::Index, 0);
        let tx = self.service.db.begin(self.file.tenant_id).await?;
        self.publish(tx).await?;
        self.warn_about_missing_index().await
    }

    /// Logs a warning if the tenant's searches would be faster with an index.
    async fn warn_about_missing_index(&self) -> Result<(), IngestError> {
        let exact_chunks = self.service.settings.knowledge.index.search_exact_chunks;
        let mut tx = self.service.db.begin(self.file.tenant_id).await?;
        let missing = hnsw::missing(&mut tx, &self.ingest.model, exact_chunks).await?;
        tx.finish();
        let new_chunks = i64::from(self.ingest.chunks.unwrap_or_default());
        // Logged once per multiple of the threshold, not for each file.
        if let Some(chunks) =
            missing.filter(|all| (all - new_chunks) / exact_chunks < all / exact_chunks)
        {
            let tenant = self.file.tenant_id;
            tracing::warn!(%tenant, chunks, "searches compare every chunk; run `patchbay-api index`");
        }
        Ok(())
    }

    async fn publish(&mut self, mut tx: TenantTx) -> Result<(), IngestError> {
        let file = files::lock(&mut tx, self.file.id).await?;
        let mut file = file.ok_or(IngestError::Superseded)?;
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
        self.stages.fail(self.service.clock.now());
        Ok(())
    }

    fn enter(&mut self, stage: Stage, total: u32) {
        self.stages.enter(stage, total, self.service.clock.now());
        self.ingest.stage = Some(stage);
    }

    async fn update_progress(&mut self, (stage, done, total): Progress) {
        let is_new_stage = self.stages.current() != Some(stage);
        if is_new_stage {
            self.enter(stage, total);
        }
        self.stages.set_progress(done, total);
        let is_due = self
            .saved_at
            .is_none_or(|saved_at| saved_at.elapsed() >= PROGRESS_INTERVAL);
        if is_new_stage || is_due {
            // The next update includes this one.
            if let Err(error) = self.save_progress().await {
                tracing::warn!(%error, "the progress of an ingest could not be saved");
            }
        }
    }

    async fn save_progress(&mut self) -> Result<(), IngestError> {
        self.saved_at = Some(Instant::now());
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
            false => Err(IngestError::Superseded),
        }
    }
}
