//! Stored responses of requests with an `Idempotency-Key`.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{Bool, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;

use crate::{Result, TenantTx, prepared::Prepare as _, schema::idempotency_keys as table};

/// Identifies a request: a key is valid for one caller and one operation.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = table, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct Claim {
    pub caller: String,
    pub operation: String,
    pub key: String,
    pub fingerprint: Vec<u8>,
    pub path: String,
}

/// A stored response.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = table, check_for_backend(diesel::pg::Pg), treat_none_as_null = true)]
#[diesel(treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "columns")]
pub struct StoredResponse {
    pub status: Option<i16>,
    pub location: Option<String>,
    pub etag: Option<String>,
    pub body: Option<String>,
    pub settles_at: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct Lock {
    #[diesel(sql_type = Bool)]
    taken: bool,
}

impl Claim {
    /// Locks the claim for this transaction; false if another request holds it.
    pub async fn lock(&self, tx: &mut TenantTx) -> Result<bool> {
        let name = [
            &*tx.tenant().to_string(),
            &self.caller,
            &self.operation,
            &self.key,
        ]
        .join(" ");
        let query = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS taken";
        let lock: Lock = diesel::sql_query(query)
            .bind::<Text, _>(name)
            .prepared()
            .get_result(tx)
            .await?;
        Ok(lock.taken)
    }

    /// The fingerprint and the response that are stored for this claim.
    pub async fn find(&self, tx: &mut TenantTx) -> Result<Option<(Vec<u8>, StoredResponse)>> {
        let hidden = sql::<Bool>("key = ")
            .bind::<Text, _>(HIDDEN)
            .sql(" || encode(sha256(convert_to(")
            .bind::<Text, _>(&self.key)
            .sql(", 'UTF8')), 'hex')");
        Ok(table::table
            .filter(table::tenant_id.eq(tx.tenant()))
            .filter(table::caller.eq(&self.caller))
            .filter(table::operation.eq(&self.operation))
            .filter(table::key.eq(&self.key).or(hidden))
            .select((table::fingerprint, StoredResponse::as_select()))
            .limit(1)
            .prepared()
            .get_result(tx)
            .await
            .optional()?)
    }

    /// Stores the first response; the claim must be locked, and nothing stored for it yet.
    pub async fn store(
        &self,
        tx: &mut TenantTx,
        response: &StoredResponse,
        now: DateTime<Utc>,
    ) -> Result<()> {
        diesel::insert_into(table::table)
            .values((
                table::tenant_id.eq(tx.tenant()),
                self,
                response,
                table::created_at.eq(now),
            ))
            .execute(tx)
            .await?;
        Ok(())
    }

    /// Replaces the first response by a later one, unless it has been erased meanwhile: erased data must not come
    /// back.
    pub async fn complete(&self, tx: &mut TenantTx, response: &StoredResponse) -> Result<()> {
        let kept = table::table
            .find((tx.tenant(), &self.caller, &self.operation, &self.key))
            .filter(table::body.is_not_null());
        diesel::update(kept)
            .set(response)
            .prepared()
            .execute(tx)
            .await?;
        Ok(())
    }
}

/// Prefix of hidden keys, followed by the key's digest. Keys of callers cannot contain a blank.
const HIDDEN: &str = "sha256 ";

/// Erases the responses that contain a resource, by its path. A replay then answers that it is gone.
pub async fn erase(tx: &mut TenantTx, resource: &str) -> Result<()> {
    let about = "location = $2 OR path = $2 OR starts_with(path, $2 || '/')";
    erase_these(tx, about, resource).await
}

/// Erases responses about a session's attachments that contain this identity.
pub async fn erase_attachments(tx: &mut TenantTx, identity: &str) -> Result<()> {
    let names = "path LIKE '%/attach' AND strpos(body, '\"' || $2 || '\"') > 0";
    erase_these(tx, names, identity).await
}

/// Erases the tests of a tool or of its versions, whose arguments may contain personal data. Responses about its
/// creation are kept.
pub async fn erase_tests(tx: &mut TenantTx, tool: &str) -> Result<()> {
    let tests = "starts_with(path, $2 || '/') AND path LIKE '%/test'";
    erase_these(tx, tests, tool).await
}

/// Clears a field of the caller's own data in the response that created a resource; the rest is kept.
pub async fn clear_own_data(tx: &mut TenantTx, location: &str, field: &'static str) -> Result<()> {
    let cleared = format!("jsonb_set(body::jsonb, '{{{field}}}', '{{}}', false)::text");
    update_these(tx, &cleared, "location = $2", location).await
}

async fn erase_these(tx: &mut TenantTx, which: &str, of: &str) -> Result<()> {
    update_these(tx, "NULL", which, of).await
}

/// Changes the bodies of these responses and hides their keys, which may contain anything. The text of a key becomes bytes by a
/// cast: distributed tables allow no `convert_to` of a column, which could depend on settings.
async fn update_these(tx: &mut TenantTx, body: &str, which: &str, of: &str) -> Result<()> {
    let statement = format!(
        "UPDATE idempotency_keys
         SET body = {body}, key = $3 || encode(sha256(replace(key, '\\', '\\\\')::bytea), 'hex')
         WHERE tenant_id = $1 AND body IS NOT NULL AND NOT starts_with(key, $3) AND ({which})"
    );
    diesel::sql_query(statement)
        .bind::<SqlUuid, _>(tx.tenant())
        .bind::<Text, _>(of)
        .bind::<Text, _>(HIDDEN)
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes responses stored before `before`; returns their number.
pub async fn purge(tx: &mut TenantTx, before: DateTime<Utc>) -> Result<usize> {
    let old = table::table
        .filter(table::tenant_id.eq(tx.tenant()))
        .filter(table::created_at.lt(before));
    Ok(diesel::delete(old).execute(tx).await?)
}
