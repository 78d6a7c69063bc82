//! Uploads: bytes streamed into the store, recorded before the first of them.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use patchbay_domain::{
    ObjectId, TenantId,
    states::{JobKind, ObjectState},
};
use patchbay_persistence::{TenantTx, files, jobs, objects, tenants};
use patchbay_storage::{Stored, Upload};
use tokio::time::timeout;

use super::objects::{gives_up_at, key, store};
use crate::{Code, Error, Result, Service, faults::crash_here, jobs::queue, stored};

/// Bytes that are in the store, and not a file's yet.
pub struct Received {
    /// Their id.
    pub object: ObjectId,
    /// What they are.
    pub stored: Stored,
}

/// Streams bytes into the store, within the limits of size and time.
pub async fn receive<E: std::fmt::Display>(
    service: &Service,
    tenant: TenantId,
    bytes: impl Stream<Item = std::result::Result<Bytes, E>> + Unpin,
) -> Result<Received> {
    let store = store(service)?;
    let object = begin_upload(service, tenant).await?;
    let upload = store.upload(&key(service, tenant, object));
    let limit = service.settings.knowledge.upload_timeout;
    let written = timeout(limit, write(service, (tenant, object), upload, bytes)).await;
    let written = written.unwrap_or_else(|_| {
        let detail = format!("The file did not arrive within {limit:?}.");
        Err(Error::new(Code::BodyTimeout, detail))
    });
    match written {
        Ok(stored) => {
            crash_here(service, "after_upload");
            Ok(Received { object, stored })
        }
        Err(error) => {
            give_up(service, tenant, object).await;
            Err(error)
        }
    }
}

/// Recorded before the first byte, so that nothing is left in the store whatever happens.
async fn begin_upload(service: &Service, tenant: TenantId) -> Result<ObjectId> {
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
    // Looked at again when the file is there; but who is over the limit need not send it.
    check_limit(&mut tx, 1).await?;
    objects::insert(&mut tx, &row).await?;
    let end = gives_up_at(service, now);
    jobs::enqueue(&mut tx, JobKind::Object, row.id.uuid(), Some(tenant), end).await?;
    tx.commit().await?;
    Ok(row.id)
}

async fn write<E: std::fmt::Display>(
    service: &Service,
    (tenant, object): (TenantId, ObjectId),
    mut upload: Upload,
    mut bytes: impl Stream<Item = std::result::Result<Bytes, E>> + Unpin,
) -> Result<Stored> {
    let most = service.settings.knowledge.upload_limit;
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk.map_err(|error| {
            Error::new(Code::BadRequest, format!("The body broke off: {error}."))
        })?;
        if upload.size() + chunk.len() as u64 > most {
            let detail = format!("At most {most} bytes are allowed.");
            return Err(Error::new(Code::BodyTooLarge, detail));
        }
        if let Some(id) = upload.write(chunk).await? {
            let mut tx = service.db.begin(tenant).await?;
            objects::note_upload(&mut tx, object, &id).await?;
            tx.commit().await?;
        }
    }
    Ok(upload.finish().await?)
}

/// Has what was written deleted; if that cannot be recorded now, the object's job does it later.
pub async fn give_up(service: &Service, tenant: TenantId, object: ObjectId) {
    let given_up = async {
        let mut tx = service.db.begin(tenant).await?;
        // Whether the file was recorded is not always known here.
        objects::mark_upload_for_deletion(&mut tx, object).await?;
        queue::object(service, &mut tx, object).await?;
        tx.commit().await?;
        Ok::<_, Error>(())
    };
    if let Err(error) = given_up.await {
        tracing::warn!(%error, %object, "what was uploaded is cleaned up later");
    }
    service.job_due.notify_one();
}

/// Refuses a file that would be too much for the tenant.
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
