//! What requests with an `Idempotency-Key` were answered.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Bool, Text},
};
use diesel_async::RunQueryDsl;

use crate::{Result, TenantTx, schema::idempotency_keys as table};

/// Which request it is: the key means something for one caller and one operation alone.
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

/// An answer as it is kept.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = table, check_for_backend(diesel::pg::Pg), treat_none_as_null = true)]
#[expect(missing_docs, reason = "columns")]
pub struct Answer {
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
    /// Takes the claim for the transaction at hand; false where another request holds it.
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
            .get_result(tx)
            .await?;
        Ok(lock.taken)
    }

    /// What is kept for this claim: the fingerprint and the answer.
    pub async fn find(&self, tx: &mut TenantTx) -> Result<Option<(Vec<u8>, Answer)>> {
        Ok(table::table
            .find((tx.tenant(), &self.caller, &self.operation, &self.key))
            .select((table::fingerprint, Answer::as_select()))
            .first(tx)
            .await
            .optional()?)
    }

    /// Keeps an answer; a later one takes the place of an earlier one.
    pub async fn store(
        &self,
        tx: &mut TenantTx,
        answer: &Answer,
        now: DateTime<Utc>,
    ) -> Result<()> {
        diesel::insert_into(table::table)
            .values((
                table::tenant_id.eq(tx.tenant()),
                self,
                answer,
                table::created_at.eq(now),
            ))
            .on_conflict((
                table::tenant_id,
                table::caller,
                table::operation,
                table::key,
            ))
            .do_update()
            .set(answer)
            .execute(tx)
            .await?;
        Ok(())
    }
}

/// Erases what answers tell of a resource, by its path. A replay then says that it is gone.
pub async fn erase(tx: &mut TenantTx, resource: &str) -> Result<()> {
    let about = table::location
        .eq(resource)
        .or(table::path.eq(resource))
        .or(table::path.like(format!("{resource}/%")));
    diesel::update(
        table::table
            .filter(table::tenant_id.eq(tx.tenant()))
            .filter(about.assume_not_null()),
    )
    .set(table::body.eq(None::<String>))
    .execute(tx)
    .await?;
    Ok(())
}

/// Erases answers to a session's attachments that name this identity.
pub async fn erase_attachments(tx: &mut TenantTx, identity: &str) -> Result<()> {
    let names = table::body.like(format!("%\"{identity}\"%"));
    diesel::update(
        table::table
            .filter(table::tenant_id.eq(tx.tenant()))
            .filter(table::path.like("%/attach"))
            .filter(names.assume_not_null()),
    )
    .set(table::body.eq(None::<String>))
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes what was kept before `before`; answers how many.
pub async fn purge(tx: &mut TenantTx, before: DateTime<Utc>) -> Result<usize> {
    let old = table::table
        .filter(table::tenant_id.eq(tx.tenant()))
        .filter(table::created_at.lt(before));
    Ok(diesel::delete(old).execute(tx).await?)
}
