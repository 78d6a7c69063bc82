//! Uploads, which are streamed into the object store.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use patchbay_domain::{ObjectId, TenantId, states::ObjectState};
use patchbay_persistence::{TenantTx, files, objects, tenants};
use patchbay_storage::{Stored, Upload};
use tokio::time::timeout;

use super::objects::{object_key, require_store, upload_deadline};
use crate::{Code, Error, Result, Service, faults::crash_here, jobs::queue, stored};

/// An uploaded object that does not belong to a file yet.
pub struct UploadedObject {
    /// Id of the object.
    pub object: ObjectId,
    /// Size, digest and first bytes.
    pub stored: Stored,
}

/// Streams an upload into the store, within the limits of size and time.
pub async fn receive<E: std::fmt::Display>(
    service: &Service,
    tenant: TenantId,
    bytes: impl Stream<Item = std::result::Result<Bytes, E>> + Unpin,
) -> Result<UploadedObject> {
    let store = require_store(service)?;
    let object = start_upload(service, tenant).await?;
    let upload = store.upload(&object_key(service, tenant, object));
    let limit = service.settings.knowledge.upload_timeout;
    let result = timeout(limit, write(service, (tenant, object), upload, bytes)).await;
    let result = result.unwrap_or_else(|_| {
        let detail = format!("The file did not arrive within {limit:?}.");
        Err(Error::new(Code::BodyTimeout, detail))
    });
    match result {
        Ok(stored) => {
            crash_here(service, "after_upload");
            Ok(UploadedObject { object, stored })
        }
        Err(error) => {
            abandon_upload(service, tenant, object).await;
            Err(error)
        }
    }
}

/// Records the object before its first byte is written, so that an interrupted upload is always deleted from the
/// store.
async fn start_upload(service: &Service, tenant: TenantId) -> Result<ObjectId> {
    let now = service.clock.now();
    let row = objects::Object {
        tenant_id: tenant,
        id: service.clock.new_id(),
        state: ObjectState::Uploading,
        upload_id: None,
        sha256: None,
        size: 0,
        created_at: now,
    };
    let mut tx = service.db.begin(tenant).await?;
    // Checked again after the upload; checked here so that a tenant over the limit need not send the file.
    check_limit(&mut tx, 1).await?;
    objects::insert(&mut tx, &row).await?;
    queue::enqueue_object_at(service, &mut tx, row.id, upload_deadline(service, now)).await?;
    tx.commit().await?;
    Ok(row.id)
}

async fn write<E: std::fmt::Display>(
    service: &Service,
    (tenant, object): (TenantId, ObjectId),
    mut upload: Upload,
    mut bytes: impl Stream<Item = std::result::Result<Bytes, E>> + Unpin,
) -> Result<Stored> {
    let max_size = service.settings.knowledge.upload_limit;
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk.map_err(|error| {
            tracing::debug!(%error, "an upload cannot be read");
            Error::new(Code::BadRequest, "The file ended early, or is malformed.")
        })?;
        if upload.size() + chunk.len() as u64 > max_size {
            let detail = format!("At most {max_size} bytes are allowed.");
            return Err(Error::new(Code::BodyTooLarge, detail));
        }
        if let Some(id) = upload.write(chunk).await? {
            let mut tx = service.db.begin(tenant).await?;
            objects::note_upload(&mut tx, object, &id).await?;
            tx.commit().await?;
        }
    }
    let stored = upload.finish().await?;
    replace_missing(service, (tenant, object), &stored).await?;
    Ok(stored)
}

/// Gives these bytes to the object that has been recorded with them before, if the store has lost it, as after a restore of
/// a backup: the upload is about to be discarded in favour of it.
async fn replace_missing(
    service: &Service,
    (tenant, object): (TenantId, ObjectId),
    stored: &Stored,
) -> Result<()> {
    let mut tx = service.db.begin(tenant).await?;
    let recorded = objects::of_content(&mut tx, &stored.sha256).await?;
    tx.finish();
    let Some(recorded) = recorded else {
        return Ok(());
    };
    let (store, key) = (
        require_store(service)?,
        object_key(service, tenant, recorded),
    );
    if !store.exists(&key).await? {
        tracing::warn!(%tenant, object = %recorded, "a recorded object is missing in the store; it gets the bytes of an upload");
        store
            .copy(&object_key(service, tenant, object), &key)
            .await?;
    }
    Ok(())
}

/// Enqueues the deletion of an upload. If that fails, the object's job deletes it later.
pub async fn abandon_upload(service: &Service, tenant: TenantId, object: ObjectId) {
    let result = async {
        let mut tx = service.db.begin(tenant).await?;
        // The file may have been recorded already; then the object is kept.
        objects::mark_upload_for_deletion(&mut tx, object).await?;
        queue::enqueue_object(service, &mut tx, object).await?;
        tx.commit().await?;
        Ok::<_, Error>(())
    };
    if let Err(error) = result.await {
        tracing::warn!(%error, %object, "the deletion of an upload could not be enqueued; its job deletes it later");
    }
    service.job_due.notify_one();
}

/// Checks that a file of this size fits into the tenant's limit.
pub(super) async fn check_limit(tx: &mut TenantTx, size: i64) -> Result<()> {
    let tenant = tenants::find(tx).await?;
    let tenant = tenant.ok_or_else(Error::not_found)?;
    let limits = stored::limits(tenant.id, tenant.limits)?;
    let Some(megabytes) = limits.file_megabytes else {
        return Ok(());
    };
    if files::count_bytes(tx).await? + size > i64::from(megabytes) * 1_000_000 {
        let detail = format!("`file_megabytes`: {megabytes} MB of files are allowed in all.");
        return Err(Error::new(Code::FileLimitReached, detail));
    }
    Ok(())
}
