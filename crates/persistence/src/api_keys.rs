//! API keys. A lookup table without row-level security: the key determines the tenant.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Binary, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use patchbay_domain::{ApiKeyId, TenantId, states::TenantStatus};

use crate::{Result, Rows, TenantTx, Window, prepared::Prepare as _, schema::api_keys};

/// Maximum generations of keys: each request checks all ancestors of its key.
pub const MOST_GENERATIONS: i64 = 8;

/// One key, without its secret.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = api_keys, check_for_backend(Pg))]
#[diesel(treat_none_as_default_value = false)]
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
    pub parent_key_id: Option<ApiKeyId>,
}

/// What a request is authenticated against.
#[derive(Debug, Queryable)]
#[expect(missing_docs, reason = "columns")]
pub struct Credential {
    pub tenant_id: TenantId,
    pub secret_hash: Vec<u8>,
    pub scopes: Vec<String>,
    /// Whether neither the key nor any of its ancestors is revoked, expired or deleted.
    pub is_valid: bool,
    pub tenant_status: TenantStatus,
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

/// A key with all its ancestors. The condition that finds the key follows the first part.
const LINE: &str = "WITH RECURSIVE line AS (
        SELECT k.tenant_id, k.parent_key_id, k.expires_at, k.revoked_at, 1 AS generation
        FROM api_keys k WHERE k.id = ";
const ABOVE: &str = "
    UNION ALL
        SELECT k.tenant_id, k.parent_key_id, k.expires_at, k.revoked_at, line.generation + 1
        FROM line JOIN api_keys k ON k.tenant_id = line.tenant_id AND k.id = line.parent_key_id
        WHERE line.generation < ";
/// Whether all of them are valid; followed by the time. The first ancestor has no parent, unless a key was
/// deleted.
const VALID: &str = "bool_or(line.parent_key_id IS NULL)
        AND bool_and(line.revoked_at IS NULL AND (line.expires_at IS NULL OR line.expires_at > ";

/// The statement of [`credential`]: typed, so that it is prepared once, unlike with `sql_query`.
#[derive(QueryId)]
struct FindCredential {
    id: ApiKeyId,
    now: DateTime<Utc>,
}

impl Query for FindCredential {
    type SqlType = (SqlUuid, Binary, Array<Text>, Bool, Text, Jsonb);
}

impl QueryFragment<Pg> for FindCredential {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(LINE);
        out.push_bind_param::<SqlUuid, _>(&self.id)?;
        out.push_sql(ABOVE);
        out.push_bind_param::<BigInt, _>(&MOST_GENERATIONS)?;
        out.push_sql(") SELECT k.tenant_id, k.secret_hash, k.scopes, (SELECT ");
        out.push_sql(VALID);
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(")) FROM line), t.status, t.limits ");
        out.push_sql("FROM api_keys k JOIN tenants t ON t.id = k.tenant_id WHERE k.id = ");
        out.push_bind_param::<SqlUuid, _>(&self.id)
    }
}

/// The credential of a key, by the id in its token. One round trip, on every request.
pub async fn credential(
    connection: &mut AsyncPgConnection,
    id: ApiKeyId,
    now: DateTime<Utc>,
) -> Result<Option<Credential>> {
    let find = FindCredential { id, now };
    Ok(find.get_result(connection).await.optional()?)
}

/// Limits of the keys that a key creates.
#[derive(Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Ancestry {
    #[diesel(sql_type = Bool)]
    pub is_valid: bool,
    #[diesel(sql_type = BigInt)]
    pub generations: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// The limits of a key and its ancestors. Under
/// [`lock_counts`](crate::tenants::lock_counts), none of them is revoked meanwhile.
pub async fn ancestry(tx: &mut TenantTx, id: ApiKeyId, now: DateTime<Utc>) -> Result<Ancestry> {
    let query = format!(
        "{LINE} $1 AND k.tenant_id = $2 {ABOVE} $3)
         SELECT coalesce({VALID} $4)), false) AS is_valid, count(*) AS generations,
                min(line.expires_at) AS expires_at FROM line"
    );
    Ok(diesel::sql_query(query)
        .bind::<SqlUuid, _>(id)
        .bind::<SqlUuid, _>(tx.tenant())
        .bind::<BigInt, _>(MOST_GENERATIONS)
        .bind::<Timestamptz, _>(now)
        .prepared()
        .get_result(tx)
        .await?)
}

/// How many keys of the tenant are valid.
pub async fn count_live(tx: &mut TenantTx, now: DateTime<Utc>) -> Result<i64> {
    Ok(api_keys::table
        .filter(api_keys::tenant_id.eq(tx.tenant()))
        .filter(api_keys::revoked_at.is_null())
        .filter(
            api_keys::expires_at
                .is_null()
                .or(api_keys::expires_at.gt(now)),
        )
        .count()
        .get_result(tx)
        .await?)
}

/// Finds a key of the tenant.
pub async fn find(tx: &mut TenantTx, id: ApiKeyId) -> Result<Option<ApiKey>> {
    Ok(api_keys::table
        .find((tx.tenant(), id))
        .select(ApiKey::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// Finds and locks a key of the tenant.
pub async fn lock(tx: &mut TenantTx, id: ApiKeyId) -> Result<Option<ApiKey>> {
    Ok(api_keys::table
        .find((tx.tenant(), id))
        .select(ApiKey::as_select())
        .for_update()
        .first(tx)
        .await
        .optional()?)
}

/// A page of the tenant's keys, revoked ones included.
pub async fn list(tx: &mut TenantTx, window: Window) -> Result<Rows<ApiKey>> {
    let rows = api_keys::table
        .filter(api_keys::tenant_id.eq(tx.tenant()))
        .filter(api_keys::id.lt(window.below()))
        .order(api_keys::id.desc())
        .limit(window.fetch())
        .select(ApiKey::as_select())
        .load(tx)
        .await?;
    Ok(window.cut(rows))
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = SqlUuid)]
    id: ApiKeyId,
}

/// Revokes a key with all its descendants; they are refused from the next request on. Returns them as they were,
/// the key itself first, without those that were already revoked or expired, whose descendants are refused
/// anyway.
pub async fn revoke(tx: &mut TenantTx, id: ApiKeyId, at: DateTime<Utc>) -> Result<Vec<ApiKey>> {
    let found: Vec<Found> = diesel::sql_query(
        "WITH RECURSIVE below AS (
            SELECT k.id FROM api_keys k WHERE k.tenant_id = $1 AND k.id = $2
        UNION
            SELECT k.id FROM below JOIN api_keys k ON k.tenant_id = $1 AND k.parent_key_id = below.id
            WHERE k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $3)
        ) SELECT id FROM below",
    )
    .bind::<SqlUuid, _>(tx.tenant())
    .bind::<SqlUuid, _>(id)
    .bind::<Timestamptz, _>(at)
    .prepared()
    .load(tx)
    .await?;
    let ids: Vec<_> = found.into_iter().map(|found| found.id).collect();
    let live = api_keys::table
        .filter(api_keys::tenant_id.eq(tx.tenant()))
        .filter(api_keys::id.eq_any(ids))
        .filter(api_keys::revoked_at.is_null());
    let revoked = live
        .clone()
        .order(api_keys::id)
        .select(ApiKey::as_select())
        .load(tx)
        .await?;
    diesel::update(live)
        .set(api_keys::revoked_at.eq(at))
        .prepared()
        .execute(tx)
        .await?;
    Ok(revoked)
}

/// Records when keys were last used, many in one statement.
pub async fn touch(
    connection: &mut AsyncPgConnection,
    ids: &[uuid::Uuid],
    at: DateTime<Utc>,
) -> Result<()> {
    diesel::update(api_keys::table.filter(api_keys::id.eq_any(ids)))
        .set(api_keys::last_used_at.eq(at))
        .prepared()
        .execute(connection)
        .await?;
    Ok(())
}
