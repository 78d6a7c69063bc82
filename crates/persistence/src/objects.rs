//! Objects in the object store: uploads, stored objects, and those to be deleted.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{ObjectId, TenantId, states::ObjectState};
use uuid::Uuid;

use crate::{
    Result, TenantTx,
    prepared::Prepare as _,
    schema::{files, objects},
};

/// One object.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = objects, check_for_backend(diesel::pg::Pg))]
#[diesel(treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "columns")]
pub struct Object {
    pub tenant_id: TenantId,
    pub id: ObjectId,
    pub state: ObjectState,
    pub upload_id: Option<String>,
    pub sha256: Option<Vec<u8>>,
    pub size: i64,
    pub created_at: DateTime<Utc>,
}

/// Inserts an object.
pub async fn insert(tx: &mut TenantTx, object: &Object) -> Result<()> {
    diesel::insert_into(objects::table)
        .values(object)
        .execute(tx)
        .await?;
    Ok(())
}

/// Finds and locks an object.
pub async fn lock(tx: &mut TenantTx, id: ObjectId) -> Result<Option<Object>> {
    Ok(objects::table
        .find((tx.tenant(), id))
        .select(Object::as_select())
        .for_update()
        .first(tx)
        .await
        .optional()?)
}

/// Records the store's id of a multipart upload.
pub async fn note_upload(tx: &mut TenantTx, id: ObjectId, upload: &str) -> Result<()> {
    diesel::update(objects::table.find((tx.tenant(), id)))
        .set(objects::upload_id.eq(upload))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// The object with this content, locked against deletion. Concurrent requests for the same content wait until
/// this transaction ends.
pub async fn of_content(tx: &mut TenantTx, sha256: &[u8]) -> Result<Option<ObjectId>> {
    diesel::sql_query(
        "SELECT pg_advisory_xact_lock(hashtextextended($1::text || encode($2, 'hex'), 0))",
    )
    .bind::<diesel::sql_types::Uuid, _>(tx.tenant())
    .bind::<diesel::sql_types::Binary, _>(sha256)
    .prepared()
    .execute(tx)
    .await?;
    Ok(objects::table
        .filter(objects::tenant_id.eq(tx.tenant()))
        .filter(objects::sha256.eq(sha256))
        .filter(objects::state.eq(ObjectState::Stored))
        .select(objects::id)
        .for_key_share()
        .first(tx)
        .await
        .optional()?)
}

/// Marks an upload as stored; false if it was already given up. Another object with the same content is the
/// unique violation `objects_content`.
pub async fn mark_stored(
    tx: &mut TenantTx,
    id: ObjectId,
    (sha256, size): (&[u8], i64),
) -> Result<bool> {
    let uploading = objects::table
        .find((tx.tenant(), id))
        .filter(objects::state.eq(ObjectState::Uploading));
    let changed = diesel::update(uploading)
        .set((
            objects::state.eq(ObjectState::Stored),
            objects::sha256.eq(sha256),
            objects::size.eq(size),
        ))
        .prepared()
        .execute(tx)
        .await?;
    Ok(changed == 1)
}

/// Marks an upload for deletion, unless it has been stored since.
pub async fn mark_upload_for_deletion(tx: &mut TenantTx, id: ObjectId) -> Result<()> {
    let uploading = objects::table
        .find((tx.tenant(), id))
        .filter(objects::state.eq(ObjectState::Uploading));
    diesel::update(uploading)
        .set(objects::state.eq(ObjectState::Deleting))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// Marks an object for deletion.
pub async fn mark_for_deletion(tx: &mut TenantTx, id: ObjectId) -> Result<()> {
    diesel::update(objects::table.find((tx.tenant(), id)))
        .set(objects::state.eq(ObjectState::Deleting))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// Whether a file refers to the object. Its row must be locked.
pub async fn is_used(tx: &mut TenantTx, id: ObjectId) -> Result<bool> {
    let users = files::table
        .filter(files::tenant_id.eq(tx.tenant()))
        .filter(files::object_id.eq(id));
    Ok(diesel::select(diesel::dsl::exists(users))
        .get_result(tx)
        .await?)
}

/// Those of these ids that are recorded.
pub async fn existing(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<Uuid>> {
    Ok(objects::table
        .filter(objects::tenant_id.eq(tx.tenant()))
        .filter(objects::id.eq_any(ids))
        .select(objects::id)
        .load(tx)
        .await?)
}

/// Stored objects after this id whose uploads began before this time, in order, up to 500.
pub async fn stored_after(
    tx: &mut TenantTx,
    after: Uuid,
    before: DateTime<Utc>,
) -> Result<Vec<Uuid>> {
    Ok(objects::table
        .filter(objects::tenant_id.eq(tx.tenant()))
        .filter(objects::state.eq(ObjectState::Stored))
        .filter(objects::id.gt(after))
        .filter(objects::created_at.lt(before))
        .order(objects::id)
        .limit(500)
        .select(objects::id)
        .load(tx)
        .await?)
}

/// Deletes the record of an object that is gone from the store.
pub async fn delete_record(tx: &mut TenantTx, id: ObjectId) -> Result<()> {
    diesel::delete(objects::table.find((tx.tenant(), id)))
        .execute(tx)
        .await?;
    Ok(())
}
