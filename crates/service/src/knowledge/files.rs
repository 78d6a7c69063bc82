//! Files: creation from uploads, and deletion.

use patchbay_domain::{FileId, Metadata, ObjectId};
use patchbay_persistence::{TenantTx, chunks, files, objects};
use patchbay_storage::Stored;

use super::{
    ingest_request,
    objects::mark_for_deletion,
    upload::{UploadedObject, check_limit},
};
use crate::{Code, Error, Result, Service};

/// Properties of a new file.
pub struct NewFile {
    /// Name of the file.
    pub name: String,
    /// Metadata of the client.
    pub metadata: Metadata,
    /// Whether the file is ingested, which makes it searchable.
    pub ingest: bool,
}

/// Returns an existing object with the same content and marks the new one for deletion, or else keeps the new one.
async fn deduplicate(
    service: &Service,
    tx: &mut TenantTx,
    object: ObjectId,
    (sha256, size): (&[u8; 32], i64),
) -> Result<ObjectId> {
    if let Some(existing) = objects::of_content(tx, sha256).await? {
        mark_for_deletion(service, tx, object).await?;
        return Ok(existing);
    }
    match objects::mark_stored(tx, object, (sha256, size)).await? {
        true => Ok(object),
        false => {
            let detail = "The upload took too long and was discarded.";
            Err(Error::new(Code::Unavailable, detail))
        }
    }
}

/// Creates a file from an upload. Files with the same content share one object.
pub async fn create(
    service: &Service,
    tx: &mut TenantTx,
    uploaded: &UploadedObject,
    new: NewFile,
) -> Result<files::WithIngest> {
    let Stored { size, sha256, head } = &uploaded.stored;
    let size = i64::try_from(*size).map_err(Error::internal)?;
    check_limit(tx, size).await?;
    let object = deduplicate(service, tx, uploaded.object, (sha256, size)).await?;
    let now = service.clock.now();
    let mut file = files::File {
        tenant_id: tx.tenant(),
        id: service.clock.new_id(),
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
        true => Some(ingest_request::request(service, tx, &mut file).await?),
        false => None,
    };
    Ok((file, ingest))
}

/// Deletes a file and its chunks, and its object if no other file uses it.
pub async fn delete(service: &Service, tx: &mut TenantTx, file: &files::File) -> Result<()> {
    // The row stays locked, so that no new file starts to use the object meanwhile.
    let object = objects::lock(tx, file.object_id).await?;
    let id: FileId = file.id;
    chunks::delete_others(tx, id, -1).await?;
    files::delete(tx, id).await?;
    if object.is_some() && !objects::is_used(tx, file.object_id).await? {
        mark_for_deletion(service, tx, file.object_id).await?;
    }
    Ok(())
}

/// Requires that all these files, which the body lists at `pointer`, exist in the tenant.
pub async fn require_files(tx: &mut TenantTx, ids: &[FileId], pointer: &str) -> Result<()> {
    let found = files::existing(tx, ids).await?;
    match ids.iter().position(|id| !found.contains(id)) {
        None => Ok(()),
        Some(index) => Err(Error::unknown_reference(&format!("{pointer}/{index}"))),
    }
}
