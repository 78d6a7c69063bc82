//! Events of sessions, in order.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Nullable, Timestamptz},
};
use diesel_async::RunQueryDsl;
use patchbay_domain::{SessionEventId, SessionId, TenantId};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Result, Rows, TenantTx, Window,
    prepared::{FEW, Prepare as _},
    schema::session_events as events,
};

/// One event.
#[derive(Clone, Debug, Queryable, Selectable)]
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

diesel::define_sql_function! {
    /// The later one of two times.
    fn greatest(a: Timestamptz, b: Nullable<Timestamptz>) -> Timestamptz;
}

/// Adds events, which are ordered by time, in one statement. An event that became known only after a later one gets the
/// time of that one, so that the order of the ids is the order of the times.
pub async fn append(tx: &mut TenantTx, batch: Vec<SessionEvent>) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let row = |event: SessionEvent| {
        let newest = events::table
            .filter(events::tenant_id.eq(event.tenant_id))
            .filter(events::session_id.eq(event.session_id))
            .order(events::id.desc())
            .select(events::at)
            .limit(1)
            .single_value();
        (
            events::tenant_id.eq(event.tenant_id),
            events::id.eq(event.id),
            events::session_id.eq(event.session_id),
            events::at.eq(greatest(event.at, newest)),
            events::kind.eq(event.kind),
            events::facts.eq(event.facts),
        )
    };
    let rows: Vec<_> = batch.into_iter().map(row).collect();
    let are_few = rows.len() <= FEW;
    diesel::insert_into(events::table)
        .values(rows)
        .prepared_if(are_few)
        .execute(tx)
        .await?;
    Ok(())
}

/// A page of a session's events, filtered by kind if one is given, newest first; or those after `start`, oldest first.
pub async fn list(
    tx: &mut TenantTx,
    session: SessionId,
    window: Window,
    (kind, start): (Option<&str>, Option<Uuid>),
) -> Result<Rows<SessionEvent>> {
    let mut query = events::table
        .filter(events::tenant_id.eq(tx.tenant()))
        .filter(events::session_id.eq(session))
        .limit(window.fetch())
        .select(SessionEvent::as_select())
        .into_boxed();
    query = match start {
        Some(start) => query.filter(events::id.gt(start)).order(events::id.asc()),
        None => query
            .filter(events::id.lt(window.below()))
            .order(events::id.desc()),
    };
    if let Some(kind) = kind {
        query = query.filter(events::kind.eq(kind.to_owned()));
    }
    Ok(window.cut(query.load(tx).await?))
}
