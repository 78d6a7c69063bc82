//! Assignments of phone numbers to tenants. A lookup table; a tenant's queries filter by it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{NumberId, TenantId};

use crate::{Result, Rows, TenantTx, Window, schema::phone_numbers as numbers};

/// One number.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = numbers, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct Number {
    pub number: String,
    pub id: NumberId,
    pub tenant_id: TenantId,
    pub assigned_at: DateTime<Utc>,
}

/// Assigns a number unless it is assigned; returns the current assignment.
pub async fn assign(tx: &mut TenantTx, number: &Number) -> Result<Number> {
    diesel::insert_into(numbers::table)
        .values(number)
        .on_conflict_do_nothing()
        .execute(tx)
        .await?;
    Ok(numbers::table
        .find(&number.number)
        .select(Number::as_select())
        .first(tx)
        .await?)
}

/// Whether a number is the tenant's.
pub async fn is_assigned(tx: &mut TenantTx, number: &str) -> Result<bool> {
    let owned = numbers::table
        .find(number)
        .filter(numbers::tenant_id.eq(tx.tenant()));
    Ok(diesel::select(diesel::dsl::exists(owned))
        .get_result(tx)
        .await?)
}

/// Whether a number is the tenant's. Its row is locked against release.
pub async fn lock_shared(tx: &mut TenantTx, number: &str) -> Result<bool> {
    let found: Option<String> = numbers::table
        .find(number)
        .filter(numbers::tenant_id.eq(tx.tenant()))
        .select(numbers::number)
        .for_key_share()
        .first(tx)
        .await
        .optional()?;
    Ok(found.is_some())
}

/// Releases a number; returns its assignment.
pub async fn release(tx: &mut TenantTx, number: &str) -> Result<Option<Number>> {
    let owned = numbers::table
        .find(number)
        .filter(numbers::tenant_id.eq(tx.tenant()));
    Ok(diesel::delete(owned)
        .returning(Number::as_returning())
        .get_result(tx)
        .await
        .optional()?)
}

/// A page of a tenant's numbers.
pub async fn list(tx: &mut TenantTx, window: Window) -> Result<Rows<Number>> {
    let rows = numbers::table
        .filter(numbers::tenant_id.eq(tx.tenant()))
        .filter(numbers::id.lt(window.below()))
        .order(numbers::id.desc())
        .limit(window.fetch())
        .select(Number::as_select())
        .load(tx)
        .await?;
    Ok(window.cut(rows))
}
