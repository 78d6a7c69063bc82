//! Files: made of uploads, and deleted.

use patchbay_domain::{FileId, Metadata, ObjectId};
use patchbay_persistence::{TenantTx, chunks, files, objects};
use patchbay_storage::Stored;

use super::{
    ingest_request,
    objects::mark_for_deletion,
    upload::{Received, check_limit},
};
use crate::{Code, Error, Result, Service};

/// What a file is called, and what is to be done with it.
pub struct NewFile {
    /// Its name.
    pub name: String,
    /// Data of the caller's own.
    pub metadata: Metadata,
    /// Whether it is to be searchable.
    pub ingest: bool,
}

/// The object that has these bytes: the one that was there before, or else this one.
async fn deduplicate(
    service: &Service,
    tx: &mut TenantTx,
    object: ObjectId,
    (sha256, size): (&[u8; 32], i64),
) -> Result<ObjectId> {
    if let Some(known) = objects::of_content(tx, sha256).await? {
        mark_for_deletion(service, tx, object).await?;
        return Ok(known);
    }
    match objects::mark_stored(tx, object, (sha256, size)).await? {
        true => Ok(object),
        false => {
            let detail = "The upload took too long to be kept.";
            Err(Error::new(Code::Unavailable, detail))
        }
    }
}

/// Makes a file of what was received. The same bytes again share the object that is there.
pub async fn create(
    service: &Service,
    tx: &mut TenantTx,
    received: &Received,
    new: NewFile,
) -> Result<files::WithIngest> {
    let Stored { size, sha256, head } = &received.stored;
    let size = i64::try_from(*size).map_err(Error::internal)?;
    check_limit(tx, size).await?;
    let object = deduplicate(service, tx, received.object, (sha256, size)).await?;
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

/// Deletes a file with all that was made of it; its bytes go when no other file has them.
pub async fn delete(service: &Service, tx: &mut TenantTx, file: &files::File) -> Result<()> {
    // Held, so that nobody takes the same bytes for another file meanwhile.
    let object = objects::find(tx, file.object_id).await?;
    let id: FileId = file.id;
    chunks::delete_others(tx, id, -1).await?;
    files::delete(tx, id).await?;
    if object.is_some() && !objects::is_used(tx, file.object_id).await? {
        mark_for_deletion(service, tx, file.object_id).await?;
    }
    Ok(())
}

/// Files that a body names exist in this tenant.
pub async fn require_files(tx: &mut TenantTx, ids: &[FileId]) -> Result<()> {
    let found = files::existing(tx, ids).await?;
    match ids.iter().all(|id| found.contains(id)) {
        true => Ok(()),
        false => Err(Error::not_found()),
    }
}
