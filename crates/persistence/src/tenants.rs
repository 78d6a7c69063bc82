//! Tenants. A lookup table: operators see all rows.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use patchbay_domain::{TenantId, states::TenantStatus};
use serde_json::Value;

use crate::{Db, Result, Rows, TenantTx, Window, prepared::Prepare as _, schema::tenants};

/// One tenant.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = tenants, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct Tenant {
    pub id: TenantId,
    pub slug: String,
    pub name: String,
    pub status: TenantStatus,
    pub settings: Value,
    pub limits: Value,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Inserts a tenant. A taken slug is the unique violation `tenants_slug_key`.
pub async fn insert(tx: &mut TenantTx, tenant: &Tenant) -> Result<()> {
    diesel::insert_into(tenants::table)
        .values(tenant)
        .execute(tx)
        .await?;
    Ok(())
}

/// The tenant of the transaction.
pub async fn find(tx: &mut TenantTx) -> Result<Option<Tenant>> {
    Ok(tenants::table
        .find(tx.tenant())
        .select(Tenant::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// The tenant of the transaction, locked.
pub async fn lock(tx: &mut TenantTx) -> Result<Option<Tenant>> {
    Ok(tenants::table
        .find(tx.tenant())
        .select(Tenant::as_select())
        .for_update()
        .first(tx)
        .await
        .optional()?)
}

/// Serialises counts of the tenant until this transaction ends. It does not lock the tenant's row, whose lock on a Citus cluster
/// would be one of all tenants.
pub async fn lock_counts(tx: &mut TenantTx) -> Result<()> {
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1::text || 'counts', 0))")
        .bind::<diesel::sql_types::Uuid, _>(tx.tenant())
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// Stores the mutable columns of `tenant`.
pub async fn update(tx: &mut TenantTx, tenant: &Tenant) -> Result<()> {
    diesel::update(tenants::table.find(tx.tenant()))
        .set((
            tenants::name.eq(&tenant.name),
            tenants::status.eq(tenant.status),
            tenants::settings.eq(&tenant.settings),
            tenants::limits.eq(&tenant.limits),
            tenants::revision.eq(tenant.revision),
            tenants::updated_at.eq(tenant.updated_at),
        ))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// A page of all tenants.
pub async fn list(
    connection: &mut AsyncPgConnection,
    window: Window,
    status: Option<TenantStatus>,
    slug: Option<&str>,
) -> Result<Rows<Tenant>> {
    let mut query = tenants::table
        .filter(tenants::id.lt(window.below()))
        .order(tenants::id.desc())
        .limit(window.fetch())
        .select(Tenant::as_select())
        .into_boxed();
    if let Some(status) = status {
        query = query.filter(tenants::status.eq(status));
    }
    if let Some(slug) = slug {
        query = query.filter(tenants::slug.eq(slug.to_owned()));
    }
    Ok(window.cut(query.load(connection).await?))
}

/// The ids of the next tenants after this one, in order; empty at the end. For work on all tenants.
pub async fn page_after(db: &Db, after: TenantId) -> Result<Vec<TenantId>> {
    // The connection is released, so that the work between two pages may use it.
    let mut connection = db.connection().await?;
    Ok(tenants::table
        .filter(tenants::id.gt(after))
        .order(tenants::id)
        .limit(500)
        .select(tenants::id)
        .load(&mut connection)
        .await?)
}
