//! The job of an object in the store, which brings the store to the recorded state.
//!
//! An object is recorded before its first byte is written and marked for deletion before it is deleted, so that this
//! job can complete what was interrupted in between.

use chrono::{DateTime, Utc};
use patchbay_domain::{ObjectId, TenantId, states::ObjectState};
use patchbay_persistence::{TenantTx, objects};
use patchbay_storage::Store;

use crate::{
    Code, Error, Result, Service,
    faults::crash_here,
    jobs::{error::JobError, queue},
};

/// Returns the key of an object in the store. Its first part distinguishes installations that share a store.
pub fn object_key(service: &Service, tenant: TenantId, id: ObjectId) -> String {
    format!("{}/{tenant}/{id}", service.settings.env)
}

/// Returns the store, or an error if none is configured.
pub fn require_store(service: &Service) -> Result<&Store> {
    service.store.as_ref().ok_or_else(|| {
        let detail =
            "The operator must set PATCHBAY_STORAGE_DIRECTORY or PATCHBAY_S3_BUCKET first.";
        Error::new(Code::StorageNotConfigured, detail)
    })
}

/// Returns the time until which an upload that began at `start` may be in progress.
pub fn upload_deadline(service: &Service, start: DateTime<Utc>) -> DateTime<Utc> {
    start + service.settings.knowledge.upload_timeout * 2
}

/// Marks an object for deletion and enqueues the job that deletes it.
pub async fn mark_for_deletion(service: &Service, tx: &mut TenantTx, id: ObjectId) -> Result<()> {
    objects::mark_for_deletion(tx, id).await?;
    queue::enqueue_object(service, tx, id).await
}

/// Runs the job; returns when it is due again, if at all.
pub async fn process(
    service: &Service,
    tenant: TenantId,
    id: ObjectId,
) -> std::result::Result<Option<DateTime<Utc>>, JobError> {
    let mut tx = service.db.begin(tenant).await?;
    let Some(object) = objects::lock(&mut tx, id).await? else {
        return Ok(None);
    };
    let deadline = upload_deadline(service, object.created_at);
    match object.state {
        ObjectState::Stored => return Ok(None),
        ObjectState::Uploading if service.clock.now() < deadline => return Ok(Some(deadline)),
        ObjectState::Uploading => {
            objects::mark_upload_for_deletion(&mut tx, id).await?;
            tx.commit().await?;
        }
        ObjectState::Deleting if objects::is_used(&mut tx, id).await? => {
            return Err(
                Error::internal(format!("object {id} is marked for deletion but in use")).into(),
            );
        }
        ObjectState::Deleting => tx.finish(),
    }
    let (store, key) = (require_store(service)?, object_key(service, tenant, id));
    store.abandon(&key, object.upload_id.as_deref()).await?;
    store.delete(&key).await?;
    crash_here(service, "after_object_deleted");
    let mut tx = service.db.begin(tenant).await?;
    objects::delete_record(&mut tx, id).await?;
    tx.commit().await?;
    Ok(None)
}
