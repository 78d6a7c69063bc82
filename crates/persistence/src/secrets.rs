//! Encrypted values, which are opaque here. A value that belongs to a resource has a name that tenants cannot
//! use, and is deleted with its owner.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{SecretId, TenantId};

use uuid::Uuid;

use crate::{Result, Rows, TenantTx, Window, prepared::Prepare as _, schema::secrets};

/// One secret.
#[derive(Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = secrets, check_for_backend(diesel::pg::Pg))]
#[diesel(treat_none_as_default_value = false, primary_key(tenant_id, id))]
#[expect(missing_docs, reason = "columns")]
pub struct Secret {
    pub tenant_id: TenantId,
    pub id: SecretId,
    pub name: String,
    pub hosts: Vec<String>,
    pub sealing_key: String,
    pub nonce: Vec<u8>,
    pub sealed: Vec<u8>,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub owner_id: Option<Uuid>,
}

/// Finds a secret that the tenant itself manages.
pub async fn find(tx: &mut TenantTx, name: &str) -> Result<Option<Secret>> {
    Ok(secrets::table
        .filter(secrets::tenant_id.eq(tx.tenant()))
        .filter(secrets::owner_id.is_null())
        .filter(secrets::name.eq(name))
        .select(Secret::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// Finds and locks a secret that the tenant itself manages.
pub async fn lock(tx: &mut TenantTx, name: &str) -> Result<Option<Secret>> {
    Ok(secrets::table
        .filter(secrets::tenant_id.eq(tx.tenant()))
        .filter(secrets::owner_id.is_null())
        .filter(secrets::name.eq(name))
        .select(Secret::as_select())
        .for_update()
        .first(tx)
        .await
        .optional()?)
}

/// The secret that belongs to this resource.
pub async fn find_owned(tx: &mut TenantTx, owner: Uuid) -> Result<Option<Secret>> {
    Ok(secrets::table
        .filter(secrets::tenant_id.eq(tx.tenant()))
        .filter(secrets::owner_id.eq(owner))
        .select(Secret::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// Those of these names that exist.
pub async fn find_named<'a>(
    tx: &mut TenantTx,
    names: impl IntoIterator<Item = &'a String>,
) -> Result<Vec<Secret>> {
    let names: Vec<_> = names.into_iter().collect();
    Ok(secrets::table
        .filter(secrets::tenant_id.eq(tx.tenant()))
        .filter(secrets::name.eq_any(names))
        .select(Secret::as_select())
        .load(tx)
        .await?)
}

/// A page of the secrets that the tenant itself manages.
pub async fn list(tx: &mut TenantTx, window: Window) -> Result<Rows<Secret>> {
    let rows = secrets::table
        .filter(secrets::tenant_id.eq(tx.tenant()))
        .filter(secrets::owner_id.is_null())
        .filter(secrets::id.lt(window.below()))
        .order(secrets::id.desc())
        .limit(window.fetch())
        .select(Secret::as_select())
        .load(tx)
        .await?;
    Ok(window.cut(rows))
}

/// Secrets that are not encrypted with this key, locked, up to `limit`.
pub async fn sealed_otherwise(tx: &mut TenantTx, key: &str, limit: i64) -> Result<Vec<Secret>> {
    Ok(secrets::table
        .filter(secrets::tenant_id.eq(tx.tenant()))
        .filter(secrets::sealing_key.ne(key))
        .order(secrets::name)
        .limit(limit)
        .select(Secret::as_select())
        .for_update()
        .load(tx)
        .await?)
}

/// Stores a secret; one of the same name is replaced.
pub async fn save(tx: &mut TenantTx, secret: &Secret) -> Result<()> {
    diesel::insert_into(secrets::table)
        .values(secret)
        .on_conflict((secrets::tenant_id, secrets::name))
        .do_update()
        .set(secret)
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes a secret.
pub async fn delete(tx: &mut TenantTx, id: SecretId) -> Result<()> {
    diesel::delete(secrets::table.find((tx.tenant(), id)))
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes the secrets that belong to this resource.
pub async fn delete_owned(tx: &mut TenantTx, owner: Uuid) -> Result<()> {
    let owned = secrets::table
        .filter(secrets::tenant_id.eq(tx.tenant()))
        .filter(secrets::owner_id.eq(owner));
    diesel::delete(owned).execute(tx).await?;
    Ok(())
}
