//! Events of sessions, in order.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{SessionEventId, SessionId, TenantId};
use serde_json::Value;

use crate::{Result, Rows, TenantTx, Window, schema::session_events as events};

/// One event.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = events, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct SessionEvent {
    pub tenant_id: TenantId,
    pub id: SessionEventId,
    pub session_id: SessionId,
    pub at: DateTime<Utc>,
    pub kind: String,
    pub facts: Value,
}

/// Adds events, all in one statement.
pub async fn append(tx: &mut TenantTx, batch: &[SessionEvent]) -> Result<()> {
    if !batch.is_empty() {
        diesel::insert_into(events::table)
            .values(batch)
            .execute(tx)
            .await?;
    }
    Ok(())
}

/// A page of a session's events, filtered by kind if one is given.
pub async fn list(
    tx: &mut TenantTx,
    session: SessionId,
    window: Window,
    kind: Option<&str>,
) -> Result<Rows<SessionEvent>> {
    let mut query = events::table
        .filter(events::tenant_id.eq(tx.tenant()))
        .filter(events::session_id.eq(session))
        .filter(events::id.lt(window.below()))
        .order(events::id.desc())
        .limit(window.fetch())
        .select(SessionEvent::as_select())
        .into_boxed();
    if let Some(kind) = kind {
        query = query.filter(events::kind.eq(kind.to_owned()));
    }
    Ok(window.cut(query.load(tx).await?))
}
