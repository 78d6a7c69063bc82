//! Requests to ingest a file.

use patchbay_domain::knowledge::IngestState;
use patchbay_persistence::{
    TenantTx,
    files::{self, File},
    ingests::{self, Ingest},
};
use serde_json::json;

use super::settings::IngestSettings;
use crate::{Result, Service, jobs::queue};

/// Enqueues the ingest of the next generation of a file, whose row must be locked or new.
pub async fn request(service: &Service, tx: &mut TenantTx, file: &mut File) -> Result<Ingest> {
    let settings = IngestSettings::current(service, tx, file).await?;
    file.last_generation += 1;
    files::update(tx, file).await?;
    let ingest = Ingest {
        tenant_id: tx.tenant(),
        file_id: file.id,
        generation: file.last_generation,
        state: IngestState::Pending,
        stage: None,
        stages: json!([]),
        settings: settings.digest,
        model: settings.model,
        pages: None,
        chunks: None,
        error_code: None,
        error: None,
        attempts: 0,
        created_at: service.clock.now(),
        started_at: None,
        finished_at: None,
    };
    ingests::insert(tx, &ingest).await?;
    queue::enqueue_ingest(service, tx, file.id).await?;
    Ok(ingest)
}
