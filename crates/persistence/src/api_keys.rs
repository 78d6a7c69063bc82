//! API keys. A lookup table: a key is what tells the tenant.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use patchbay_domain::{ApiKeyId, TenantId};

use crate::{
    Result, TenantTx, Window,
    schema::{api_keys, tenants},
};

/// One key, without its secret.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = api_keys, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct ApiKey {
    pub tenant_id: TenantId,
    pub id: ApiKeyId,
    pub name: String,
    pub scopes: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// What a request's key is checked against.
#[derive(Debug, Queryable)]
#[expect(missing_docs, reason = "columns")]
pub struct Credential {
    pub tenant_id: TenantId,
    pub secret_hash: Vec<u8>,
    pub scopes: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub tenant_status: String,
    pub tenant_limits: serde_json::Value,
}

/// Inserts a key with the hash of its token.
pub async fn insert(tx: &mut TenantTx, key: &ApiKey, secret_hash: &[u8]) -> Result<()> {
    diesel::insert_into(api_keys::table)
        .values((key, api_keys::secret_hash.eq(secret_hash)))
        .execute(tx)
        .await?;
    Ok(())
}

/// What is known of a key, by the id in its token. One round trip, on every request.
pub async fn credential(
    connection: &mut AsyncPgConnection,
    id: ApiKeyId,
) -> Result<Option<Credential>> {
    Ok(api_keys::table
        .inner_join(tenants::table.on(tenants::id.eq(api_keys::tenant_id)))
        .filter(api_keys::id.eq(id))
        .select((
            api_keys::tenant_id,
            api_keys::secret_hash,
            api_keys::scopes,
            api_keys::expires_at,
            api_keys::revoked_at,
            tenants::status,
            tenants::limits,
        ))
        .first(connection)
        .await
        .optional()?)
}

/// One key of the tenant, locked if `lock`.
pub async fn find(tx: &mut TenantTx, id: ApiKeyId, lock: bool) -> Result<Option<ApiKey>> {
    let query = api_keys::table
        .find((tx.tenant(), id))
        .select(ApiKey::as_select());
    let found = if lock {
        query.for_update().first(tx).await
    } else {
        query.first(tx).await
    };
    Ok(found.optional()?)
}

/// A page of the tenant's keys, revoked ones included.
pub async fn list(tx: &mut TenantTx, window: Window) -> Result<Vec<ApiKey>> {
    Ok(api_keys::table
        .filter(api_keys::tenant_id.eq(tx.tenant()))
        .filter(api_keys::id.lt(window.below()))
        .order(api_keys::id.desc())
        .limit(window.fetch())
        .select(ApiKey::as_select())
        .load(tx)
        .await?)
}

/// Revokes a key; it is refused from the next request on.
pub async fn revoke(tx: &mut TenantTx, id: ApiKeyId, at: DateTime<Utc>) -> Result<()> {
    diesel::update(api_keys::table.find((tx.tenant(), id)))
        .set(api_keys::revoked_at.eq(at))
        .execute(tx)
        .await?;
    Ok(())
}

/// Notes when keys were last used, many in one statement.
pub async fn touch(
    connection: &mut AsyncPgConnection,
    ids: &[uuid::Uuid],
    at: DateTime<Utc>,
) -> Result<()> {
    diesel::update(api_keys::table.filter(api_keys::id.eq_any(ids)))
        .set(api_keys::last_used_at.eq(at))
        .execute(connection)
        .await?;
    Ok(())
}
