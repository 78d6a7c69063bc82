//! Files on their way in: streamed into the store, and recorded when they are there.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use patchbay_domain::{FileId, Metadata, ObjectId, TenantId};
use patchbay_persistence::{TenantTx, chunks, files, jobs, objects, tenants};
use patchbay_storage::{Stored, Upload};
use tokio::time::timeout;

use super::{
    ingest,
    objects::{doom, gives_up_at, key, store},
    sync::crash_here,
};
use crate::{
    app::App,
    error::{ApiError, Code, Result},
    stored,
};

/// Bytes that are in the store, and not a file's yet.
pub struct Received {
    /// Their id.
    pub object: ObjectId,
    /// What they are.
    pub stored: Stored,
}

/// What a file is called, and what is to be done with it.
pub struct NewFile {
    /// Its name.
    pub name: String,
    /// Data of the caller's own.
    pub metadata: Metadata,
    /// Whether it is to be searchable.
    pub ingest: bool,
}

/// Streams bytes into the store, within the limits of size and time.
pub async fn receive<E: std::fmt::Display>(
    app: &App,
    tenant: TenantId,
    bytes: impl Stream<Item = std::result::Result<Bytes, E>> + Unpin,
) -> Result<Received> {
    let store = store(app)?;
    let object = begin(app, tenant).await?;
    let upload = store.upload(&key(app, tenant, object));
    let limit = app.settings.knowledge.upload_timeout.into();
    let written = timeout(limit, write(app, (tenant, object), upload, bytes)).await;
    let written = written.unwrap_or_else(|_| {
        let detail = format!("The file did not arrive within {limit:?}.");
        Err(ApiError::new(Code::BodyTimeout, detail))
    });
    match written {
        Ok(stored) => {
            crash_here(app, "after_upload");
            Ok(Received { object, stored })
        }
        Err(error) => {
            give_up(app, tenant, object).await;
            Err(error)
        }
    }
}

/// Recorded before the first byte, so that nothing is left in the store whatever happens.
async fn begin(app: &App, tenant: TenantId) -> Result<ObjectId> {
    let now = app.clock.now();
    let row = objects::Object {
        tenant_id: tenant,
        id: app.clock.new_id(),
        state: objects::UPLOADING.to_owned(),
        upload_id: None,
        sha256: None,
        size: 0,
        created_at: now,
    };
    let mut tx = app.db.begin(tenant).await?;
    // Looked at again when the file is there; but who is over the limit need not send it.
    check_limit(&mut tx, 1).await?;
    objects::insert(&mut tx, &row).await?;
    let end = gives_up_at(app, now);
    jobs::enqueue(&mut tx, jobs::OBJECT, row.id.uuid(), Some(tenant), end).await?;
    tx.commit().await?;
    Ok(row.id)
}

async fn write<E: std::fmt::Display>(
    app: &App,
    (tenant, object): (TenantId, ObjectId),
    mut upload: Upload,
    mut bytes: impl Stream<Item = std::result::Result<Bytes, E>> + Unpin,
) -> Result<Stored> {
    let most = app.settings.knowledge.upload_limit;
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk.map_err(|error| {
            ApiError::new(Code::BadRequest, format!("The body broke off: {error}."))
        })?;
        if upload.size() + chunk.len() as u64 > most {
            let detail = format!("At most {most} bytes are allowed.");
            return Err(ApiError::new(Code::BodyTooLarge, detail));
        }
        if let Some(id) = upload.write(chunk).await? {
            let mut tx = app.db.begin(tenant).await?;
            objects::note_upload(&mut tx, object, &id).await?;
            tx.commit().await?;
        }
    }
    Ok(upload.finish().await?)
}

/// Has what was written deleted; if that cannot be recorded now, the object's job does it later.
pub async fn give_up(app: &App, tenant: TenantId, object: ObjectId) {
    let given_up = async {
        let mut tx = app.db.begin(tenant).await?;
        // Whether the file was recorded is not always known here.
        objects::doom_upload(&mut tx, object).await?;
        let now = app.clock.now();
        jobs::enqueue(&mut tx, jobs::OBJECT, object.uuid(), Some(tenant), now).await?;
        tx.commit().await?;
        Ok::<_, ApiError>(())
    };
    if let Err(error) = given_up.await {
        tracing::warn!(%error, %object, "what was uploaded is cleaned up later");
    }
    app.job_due.notify_one();
}

/// Refuses a file that would be too much for the tenant.
async fn check_limit(tx: &mut TenantTx, size: i64) -> Result<()> {
    let tenant = tenants::find(tx, false).await?;
    let tenant = tenant.ok_or_else(ApiError::not_found)?;
    let limits = stored::limits(tenant.id, tenant.limits)?;
    let Some(megabytes) = limits.file_megabytes else {
        return Ok(());
    };
    if files::count_bytes(tx).await? + size > i64::from(megabytes) * 1_000_000 {
        let detail = format!("`file_megabytes`: {megabytes} MB of files are allowed in all.");
        return Err(ApiError::new(Code::FileLimitReached, detail));
    }
    Ok(())
}

/// The object that has these bytes: the one that was there before, or else this one.
async fn keep(
    app: &App,
    tx: &mut TenantTx,
    object: ObjectId,
    (sha256, size): (&[u8; 32], i64),
) -> Result<ObjectId> {
    if let Some(known) = objects::of_content(tx, sha256).await? {
        doom(app, tx, object).await?;
        return Ok(known);
    }
    match objects::mark_stored(tx, object, (sha256, size)).await? {
        true => Ok(object),
        false => {
            let detail = "The upload took too long to be kept.";
            Err(ApiError::new(Code::Unavailable, detail))
        }
    }
}

/// Makes a file of what was received. The same bytes again share the object that is there.
pub async fn create(
    app: &App,
    tx: &mut TenantTx,
    received: &Received,
    new: NewFile,
) -> Result<files::WithIngest> {
    let Stored { size, sha256, head } = &received.stored;
    let size = i64::try_from(*size).map_err(ApiError::internal)?;
    check_limit(tx, size).await?;
    let object = keep(app, tx, received.object, (sha256, size)).await?;
    let now = app.clock.now();
    let mut file = files::File {
        tenant_id: tx.tenant(),
        id: app.clock.new_id(),
        object_id: object,
        media_type: patchbay_documents::media_type(head, &new.name),
        name: new.name,
        size,
        sha256: sha256.to_vec(),
        metadata: new.metadata,
        last_generation: 0,
        searchable_generation: None,
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    files::insert(tx, &file).await?;
    let ingest = match new.ingest {
        true => Some(ingest::ask(app, tx, &mut file).await?),
        false => None,
    };
    Ok((file, ingest))
}

/// Deletes a file with all that was made of it; its bytes go when no other file has them.
pub async fn delete(app: &App, tx: &mut TenantTx, file: &files::File) -> Result<()> {
    // Held, so that nobody takes the same bytes for another file meanwhile.
    let object = objects::find(tx, file.object_id).await?;
    let id: FileId = file.id;
    chunks::delete_others(tx, id, -1).await?;
    files::delete(tx, id).await?;
    if object.is_some() && !objects::is_used(tx, file.object_id).await? {
        doom(app, tx, file.object_id).await?;
    }
    Ok(())
}
