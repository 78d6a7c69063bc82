//! Webhook events, stored before they are answered and applied afterwards, and the rooms by whose
//! names they find their tenant.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use patchbay_domain::{SessionId, TenantId};
use serde_json::Value;

use crate::{
    Result, TenantTx,
    schema::{rooms, webhook_events},
};

/// Whose room it is.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = rooms, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct Room {
    pub name: String,
    pub tenant_id: TenantId,
    pub session_id: SessionId,
}

/// Records whose room a name is.
pub async fn insert_room(connection: &mut AsyncPgConnection, room: &Room) -> Result<()> {
    diesel::insert_into(rooms::table)
        .values(room)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets the rooms of a session, whose names may tell who called.
pub async fn forget_rooms(tx: &mut TenantTx, session: SessionId) -> Result<()> {
    let of_session = rooms::table
        .filter(rooms::tenant_id.eq(tx.tenant()))
        .filter(rooms::session_id.eq(session));
    diesel::delete(of_session).execute(tx).await?;
    Ok(())
}

/// The rooms of ours among these names.
pub async fn find_rooms(connection: &mut AsyncPgConnection, names: &[String]) -> Result<Vec<Room>> {
    Ok(rooms::table
        .filter(rooms::name.eq_any(names))
        .select(Room::as_select())
        .load(connection)
        .await?)
}

/// Stores an event; false when it was stored before.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    id: &str,
    payload: &Value,
    now: DateTime<Utc>,
) -> Result<bool> {
    let inserted = diesel::insert_into(webhook_events::table)
        .values((
            webhook_events::id.eq(id),
            webhook_events::received_at.eq(now),
            webhook_events::payload.eq(payload),
            webhook_events::next_try_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .await?;
    Ok(inserted == 1)
}

/// Events that wait to be applied, oldest first.
pub async fn pending(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(String, Value)>> {
    Ok(webhook_events::table
        .filter(webhook_events::applied_at.is_null())
        .filter(webhook_events::next_try_at.le(now))
        .order((webhook_events::next_try_at, webhook_events::id))
        .limit(limit)
        .select((webhook_events::id, webhook_events::payload))
        .load(connection)
        .await?)
}

/// Puts an event that could not be applied behind the others.
pub async fn postpone(
    connection: &mut AsyncPgConnection,
    id: &str,
    until: DateTime<Utc>,
) -> Result<()> {
    diesel::update(webhook_events::table.find(id))
        .set(webhook_events::next_try_at.eq(until))
        .execute(connection)
        .await?;
    Ok(())
}

/// The same for an event that crashed whatever applied it; answers how often it has done so.
pub async fn postpone_crashed(
    connection: &mut AsyncPgConnection,
    id: &str,
    until: DateTime<Utc>,
) -> Result<i32> {
    Ok(diesel::update(webhook_events::table.find(id))
        .set((
            webhook_events::next_try_at.eq(until),
            webhook_events::crashes.eq(webhook_events::crashes + 1),
        ))
        .returning(webhook_events::crashes)
        .get_result(connection)
        .await?)
}

/// Claims an event for the transaction at hand; false when it has been applied by another.
pub async fn mark_applied(
    connection: &mut AsyncPgConnection,
    id: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    let pending = webhook_events::table
        .find(id)
        .filter(webhook_events::applied_at.is_null());
    let updated = diesel::update(pending)
        .set(webhook_events::applied_at.eq(now))
        .execute(connection)
        .await?;
    Ok(updated == 1)
}

/// Deletes events that were received before `before` and applied; answers how many.
pub async fn purge(connection: &mut AsyncPgConnection, before: DateTime<Utc>) -> Result<usize> {
    let old = webhook_events::table
        .filter(webhook_events::applied_at.is_not_null())
        .filter(webhook_events::received_at.lt(before));
    Ok(diesel::delete(old).execute(connection).await?)
}
