//! The audit trail: append only.

use chrono::{DateTime, Utc};
use diesel::{pg::Pg, prelude::*};
use diesel_async::{AsyncConnectionCore, RunQueryDsl};
use patchbay_domain::{AuditEventId, RawJson, TenantId};

use crate::{Result, Rows, TenantTx, Window, page::ids_from, schema::audit_events};

/// One entry of the trail.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_events, check_for_backend(Pg))]
#[diesel(treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "columns")]
pub struct AuditEvent {
    pub tenant_id: TenantId,
    pub id: AuditEventId,
    pub at: DateTime<Utc>,
    pub actor_kind: String,
    pub actor_id: String,
    pub action: String,
    pub resource_kind: String,
    pub resource_id: String,
    pub before: Option<RawJson>,
    pub after: Option<RawJson>,
    pub changed: Vec<String>,
    pub request_id: String,
    pub address: Option<String>,
}

/// Filter of entries.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "columns")]
pub struct Filter {
    pub actor_id: Option<String>,
    pub action: Option<String>,
    pub resource_kind: Option<String>,
    pub resource_id: Option<String>,
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
}

/// Adds to the trail.
pub async fn insert(tx: &mut TenantTx, event: &AuditEvent) -> Result<()> {
    write(tx, event).await
}

async fn write(
    connection: &mut impl AsyncConnectionCore<Backend = Pg>,
    event: &AuditEvent,
) -> Result<()> {
    diesel::insert_into(audit_events::table)
        .values(event)
        .execute(connection)
        .await?;
    Ok(())
}

/// Adds to the trail and commits the transaction, in one round trip if the statement is prepared. If one fails, so does the
/// other.
pub async fn insert_and_commit(mut tx: TenantTx, event: &AuditEvent) -> Result<()> {
    if tx.can_commit_behind_audit() {
        let write = async |mut connection: &_| write(&mut connection, event).await;
        return tx.commit_behind(write).await;
    }
    write(&mut tx, event).await?;
    tx.audit_is_prepared();
    tx.commit().await
}

/// A page of the trail.
pub async fn list(tx: &mut TenantTx, window: Window, filter: Filter) -> Result<Rows<AuditEvent>> {
    let tenant = tx.tenant();
    let query = |window: Window| {
        let Filter {
            actor_id,
            action,
            resource_kind,
            resource_id,
            from,
            to,
        } = filter.clone();
        let mut query = audit_events::table
            .filter(audit_events::tenant_id.eq(tenant))
            .filter(audit_events::id.lt(window.below_and_until(to)))
            .order(audit_events::id.desc())
            .limit(window.fetch())
            .select(AuditEvent::as_select())
            .into_boxed();
        if let Some(actor_id) = actor_id {
            query = query.filter(audit_events::actor_id.eq(actor_id));
        }
        if let Some(action) = action {
            query = query.filter(audit_events::action.eq(action));
        }
        if let Some(kind) = resource_kind {
            query = query.filter(audit_events::resource_kind.eq(kind));
        }
        if let Some(id) = resource_id {
            query = query.filter(audit_events::resource_id.eq(id));
        }
        if let Some(from) = from {
            query = query
                .filter(audit_events::id.ge(ids_from(from)))
                .filter(audit_events::at.ge(from));
        }
        if let Some(to) = to {
            query = query.filter(audit_events::at.lt(to));
        }
        query
    };
    let total = window.total(tx, query).await?;
    let rows = query(window).load_stream(tx).await?;
    let bytes = |row: &AuditEvent| {
        let both = row.before.iter().chain(&row.after);
        both.map(RawJson::len).sum()
    };
    let rows = window.fill(rows, bytes).await?;
    Ok(rows.with_total(total))
}
