//! Handlers of files.

use patchbay_domain::{Cursor, FileId, Invalid, TenantId, text::Name};
use patchbay_persistence::{TenantTx, chunks, files, idempotency};
use patchbay_service::{
    Code, Error, Result, Service,
    audit::{Change, Event},
    idempotency::Idempotent,
    knowledge,
};
use uuid::Uuid;

use super::dto::{Chunk, File, FileFilter, FileStatus, PatchFile};
use crate::{
    extract::{
        Caller, IdempotencyKey, IfMatch, Json, List, NoFilter, Patch, Path, Query, Upload,
        UploadQuery,
        scopes::{FilesRead, FilesWrite},
        upload_digest,
    },
    response::{Created, Deleted, Entity, OkOrAccepted, Page},
};

pub(super) async fn create(
    caller: Caller<FilesWrite>,
    Query(query): Query<UploadQuery>,
    body: Upload,
    key: IdempotencyKey,
) -> Result<Idempotent<Created<File>>> {
    let (service, tenant) = (&caller.service, caller.tenant()?);
    let (received, new) = body.receive(service, tenant, query).await?;
    let key = key.with_body_digest(&upload_digest(&received, &new));
    let created = caller
        .once(&key, async |unit| {
            let value =
                File::try_from(knowledge::files::create(service, unit, &received, new).await?)?;
            let event = Event::created("file", value.id, &value);
            let location = format!("/api/tenants/{tenant}/files/{}", value.id);
            Ok(Change::one(Created { location, value }, event))
        })
        .await;
    if !matches!(created, Ok(Idempotent::Fresh(_))) {
        knowledge::upload::abandon_upload(service, tenant, received.object).await;
    }
    service.job_due.notify_one();
    service.ingest_due.notify_one();
    created
}

async fn find(tx: &mut TenantTx, id: FileId) -> Result<files::WithIngest> {
    let found = files::find(tx, id).await?;
    found.ok_or_else(Error::not_found)
}

/// Locks the row of the file and returns it together with the response type.
async fn lock(tx: &mut TenantTx, id: FileId) -> Result<(files::File, File)> {
    let row = files::lock(tx, id).await?;
    let row = row.ok_or_else(Error::not_found)?;
    Ok((row, find(tx, id).await?.try_into()?))
}

pub(super) async fn list(
    caller: Caller<FilesRead>,
    list: List<FileFilter, true>,
) -> Result<Page<File>> {
    let filter = list.filter.to_query(&caller.service)?;
    let mut tx = caller.read().await?;
    let rows = files::list(&mut tx, list.window, filter).await?;
    tx.finish();
    Page::try_new(rows, |(row, _)| row.id.uuid(), File::try_from)
}

pub(super) async fn get(
    caller: Caller<FilesRead>,
    Path((_, id)): Path<(TenantId, FileId)>,
) -> Result<Entity<File>> {
    let mut tx = caller.read().await?;
    let found = find(&mut tx, id).await?;
    tx.finish();
    Ok(Entity(found.try_into()?))
}

pub(super) async fn patch(
    caller: Caller<FilesWrite>,
    Path((_, id)): Path<(TenantId, FileId)>,
    if_match: IfMatch,
    Json(body): Json<PatchFile>,
) -> Result<Entity<File>> {
    let file = caller
        .change(async |tx| {
            let (mut row, before) = lock(tx, id).await?;
            if_match.check(row.revision)?;
            body.name.apply(&mut row.name, Name::into_inner);
            if let Patch::To(patch) = body.metadata {
                row.metadata = row.metadata.merged(patch)?;
            }
            row.revision += 1;
            row.updated_at = caller.service.clock.now();
            files::update(tx, &row).await?;
            let after = File::try_from(find(tx, id).await?)?;
            let event = Event::updated("file", id, &before, &after);
            Ok(Change::one(after, event))
        })
        .await?;
    Ok(Entity(file))
}

pub(super) async fn delete(
    caller: Caller<FilesWrite>,
    Path((tenant, id)): Path<(TenantId, FileId)>,
    if_match: IfMatch,
) -> Result<Deleted> {
    let deleted = delete_one(&caller, (tenant, id), |revision| if_match.check(revision)).await;
    caller.service.job_due.notify_one();
    deleted
}

/// Deletes a file, if `check` accepts its revision.
pub(super) async fn delete_one(
    caller: &Caller<FilesWrite>,
    (tenant, id): (TenantId, FileId),
    check: impl Fn(i64) -> Result<()>,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            let (row, before) = lock(tx, id).await?;
            check(row.revision)?;
            knowledge::files::delete(&caller.service, tx, &row).await?;
            idempotency::erase(tx, &format!("/api/tenants/{tenant}/files/{id}")).await?;
            let event = Event::deleted("file", id, &before);
            Ok(Change::one(Deleted, event))
        })
        .await
}

pub(super) async fn ingest(
    caller: Caller<FilesWrite>,
    Path((_, id)): Path<(TenantId, FileId)>,
    key: IdempotencyKey,
) -> Result<Idempotent<OkOrAccepted<FileStatus>>> {
    knowledge::objects::require_store(&caller.service)?;
    let response = caller
        .once(&key, async |tx| {
            let started = request_ingest(&caller.service, tx, id).await?;
            Ok(started.map(|value| OkOrAccepted { value, done: false }))
        })
        .await?;
    caller.service.ingest_due.notify_one();
    Ok(response)
}

/// Requests an ingest of a file, unless one is running.
pub(super) async fn request_ingest(
    service: &Service,
    tx: &mut TenantTx,
    id: FileId,
) -> Result<Change<FileStatus>> {
    let row = files::lock(tx, id).await?;
    let mut row = row.ok_or_else(Error::not_found)?;
    let (_, latest) = find(tx, id).await?;
    if latest.is_some_and(|latest| latest.finished_at.is_none()) {
        let detail = "Wait until the current ingest has finished; `…/status` shows its progress.";
        return Err(Error::new(Code::IngestRunning, detail));
    }
    let started = knowledge::ingest_request::request(service, tx, &mut row).await?;
    let value = FileStatus::try_from((row, Some(started)))?;
    let event = Event::new("ingest_asked", "file", id, None::<&()>, None::<&()>);
    Ok(Change::one(value, event))
}

pub(super) async fn status(
    caller: Caller<FilesRead>,
    Path((_, id)): Path<(TenantId, FileId)>,
) -> Result<Entity<FileStatus>> {
    let mut tx = caller.read().await?;
    let found = find(&mut tx, id).await?;
    tx.finish();
    Ok(Entity(found.try_into()?))
}

pub(super) async fn chunks(
    caller: Caller<FilesRead>,
    Path((_, id)): Path<(TenantId, FileId)>,
    list: List<NoFilter>,
) -> Result<Page<Chunk>> {
    let mut tx = caller.read().await?;
    let (file, _) = find(&mut tx, id).await?;
    let generation = file.searchable_generation.unwrap_or_default();
    let after = list
        .window
        .before
        .map_or(Ok(-1), |cursor| ordinal_of(cursor, generation))?;
    let rows = chunks::list(&mut tx, (id, generation), after, list.window.fetch()).await?;
    let rows = list.window.cut(rows);
    tx.finish();
    let cursor = |row: &chunks::Chunk| Cursor::after_place(row.generation, row.ordinal).id();
    Ok(Page::new(rows, cursor, Chunk::from))
}

/// Returns the ordinal that a cursor encodes. Chunks have no id of their own, so their cursors consist of generation
/// and ordinal.
fn ordinal_of(cursor: Uuid, generation: i32) -> Result<i32> {
    Cursor::after(cursor).place(generation).ok_or_else(|| {
        let message = "the file has been ingested again since: start again without a cursor";
        Error::invalid_at("/cursor", Invalid::new("invalid_value", message))
    })
}
