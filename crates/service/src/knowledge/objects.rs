//! The job of an object in the store: what is recorded of it is made true there.
//!
//! An object is recorded before its first byte is written, and it is marked for deletion before it is
//! deleted; whatever is interrupted between is finished by this job.

use chrono::{DateTime, Utc};
use patchbay_domain::{ObjectId, TenantId, states::ObjectState};
use patchbay_persistence::{TenantTx, objects};
use patchbay_storage::Store;

use crate::{
    Code, Error, Result, Service,
    faults::crash_here,
    jobs::{error::JobError, queue},
};

/// Where an object is in the store. Installations that share one differ in the first part.
pub fn key(service: &Service, tenant: TenantId, id: ObjectId) -> String {
    format!("{}/{tenant}/{id}", service.settings.env)
}

/// The store, if there is one.
pub fn store(service: &Service) -> Result<&Store> {
    service.store.as_ref().ok_or_else(|| {
        let detail =
            "The operator must set PATCHBAY_STORAGE_DIRECTORY or PATCHBAY_S3_BUCKET first.";
        Error::new(Code::StorageNotConfigured, detail)
    })
}

/// Until when an upload that began at `at` may still be under way.
pub fn gives_up_at(service: &Service, at: DateTime<Utc>) -> DateTime<Utc> {
    at + service.settings.knowledge.upload_timeout * 2
}

/// Has the object deleted.
pub async fn mark_for_deletion(service: &Service, tx: &mut TenantTx, id: ObjectId) -> Result<()> {
    objects::mark_for_deletion(tx, id).await?;
    queue::object(service, tx, id).await
}

/// Runs the job; answers when it is due again, if ever.
pub async fn process(
    service: &Service,
    tenant: TenantId,
    id: ObjectId,
) -> std::result::Result<Option<DateTime<Utc>>, JobError> {
    let mut tx = service.db.begin(tenant).await?;
    let Some(object) = objects::find(&mut tx, id).await? else {
        return Ok(None);
    };
    let end = gives_up_at(service, object.created_at);
    match object.state {
        ObjectState::Stored => return Ok(None),
        ObjectState::Uploading if service.clock.now() < end => return Ok(Some(end)),
        ObjectState::Uploading => {
            objects::mark_upload_for_deletion(&mut tx, id).await?;
            tx.commit().await?;
        }
        ObjectState::Deleting if objects::is_used(&mut tx, id).await? => {
            return Err(
                Error::internal(format!("object {id} is marked for deletion and in use")).into(),
            );
        }
        ObjectState::Deleting => tx.finish(),
    }
    let (store, key) = (store(service)?, key(service, tenant, id));
    store.abandon(&key, object.upload_id.as_deref()).await?;
    store.delete(&key).await?;
    crash_here(service, "after_object_deleted");
    let mut tx = service.db.begin(tenant).await?;
    objects::forget(&mut tx, id).await?;
    tx.commit().await?;
    Ok(None)
}
