//! Events of sessions, in order.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Jsonb, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use patchbay_domain::{SessionEventId, SessionId, TenantId};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Result, Rows, TenantTx, Window, prepared::Prepare as _, schema::session_events as events,
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

/// Adds events of one session, which are ordered by time, in one statement. An event that became known only after a later one
/// gets the time of that one, so that the order of the ids is the order of the times.
pub async fn append(tx: &mut TenantTx, session: SessionId, batch: Vec<SessionEvent>) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let append = "
        INSERT INTO session_events (tenant_id, id, session_id, at, kind, facts)
        SELECT $1, e.id, $2, greatest(e.at, newest.at), e.kind, e.facts
        FROM unnest($3, $4, $5, $6) AS e(id, at, kind, facts) LEFT JOIN (
            SELECT at FROM session_events WHERE tenant_id = $1 AND session_id = $2 ORDER BY id DESC LIMIT 1
        ) AS newest ON true";
    let column = batch.iter();
    diesel::sql_query(append)
        .bind::<SqlUuid, _>(tx.tenant())
        .bind::<SqlUuid, _>(session)
        .bind::<Array<SqlUuid>, _>(column.clone().map(|event| event.id).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(column.clone().map(|event| event.at).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(column.clone().map(|event| &*event.kind).collect::<Vec<_>>())
        .bind::<Array<Jsonb>, _>(column.map(|event| &event.facts).collect::<Vec<_>>())
        .prepared()
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
