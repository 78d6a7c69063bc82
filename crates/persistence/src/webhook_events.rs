//! Webhook events, which are stored before the response and applied afterwards, and the room names that map them
//! to tenants.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{Bool, Jsonb},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use patchbay_domain::{SessionId, TenantId};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    Result, TenantTx,
    schema::{rooms, webhook_events},
};

/// The owner of a room.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = rooms, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct Room {
    pub name: String,
    pub tenant_id: TenantId,
    pub session_id: SessionId,
}

/// Records the owner of a room name.
pub async fn insert_room(connection: &mut AsyncPgConnection, room: &Room) -> Result<()> {
    diesel::insert_into(rooms::table)
        .values(room)
        .execute(connection)
        .await?;
    Ok(())
}

/// Replaces the names of a session's rooms, which may contain the caller's number, by digests. An unexpired token
/// can create such a room again; its digest identifies it, so that it is deleted.
pub async fn hide_rooms(tx: &mut TenantTx, session: SessionId) -> Result<()> {
    let of_session = rooms::table
        .filter(rooms::tenant_id.eq(tx.tenant()))
        .filter(rooms::session_id.eq(session));
    let hidden = diesel::delete(of_session).returning(Room::as_returning());
    for room in hidden.get_results(tx).await? {
        let name = digest_of(&room.name);
        insert_room(tx, &Room { name, ..room }).await?;
    }
    Ok(())
}

/// What replaces the name of a room whose session was erased. The name's random suffix keeps it from being
/// guessed.
fn digest_of(name: &str) -> String {
    format!("sha256:{:x}", Sha256::digest(name))
}

/// The rooms of this installation among these names, also those of erased sessions.
pub async fn find_rooms(connection: &mut AsyncPgConnection, names: &[String]) -> Result<Vec<Room>> {
    let mut plain: HashMap<_, _> = names.iter().map(|name| (digest_of(name), name)).collect();
    plain.extend(names.iter().map(|name| (name.clone(), name)));
    let found: Vec<Room> = rooms::table
        .filter(rooms::name.eq_any(plain.keys()))
        .select(Room::as_select())
        .load(connection)
        .await?;
    let named = found.into_iter().filter_map(|room| {
        let name = (*plain.get(&room.name)?).clone();
        Some(Room { name, ..room })
    });
    Ok(named.collect())
}

/// Stores an event; false if it is stored already.
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

/// An event that has not been applied.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = webhook_events, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct Pending {
    pub id: String,
    pub received_at: DateTime<Utc>,
    pub payload: Value,
}

/// Events that have not been applied, oldest first.
pub async fn pending(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Pending>> {
    Ok(webhook_events::table
        .filter(webhook_events::applied_at.is_null())
        .filter(webhook_events::next_try_at.le(now))
        .order((webhook_events::next_try_at, webhook_events::id))
        .limit(limit)
        .select(Pending::as_select())
        .load(connection)
        .await?)
}

/// Counts an attempt as crashed before it begins: an event may crash the process. Returns the number of
/// consecutive crashes, including this attempt.
pub async fn count_try(connection: &mut AsyncPgConnection, id: &str) -> Result<i32> {
    Ok(diesel::update(webhook_events::table.find(id))
        .set(webhook_events::crashes.eq(webhook_events::crashes + 1))
        .returning(webhook_events::crashes)
        .get_result(connection)
        .await?)
}

/// Moves an event that could not be applied behind the others.
pub async fn postpone(
    connection: &mut AsyncPgConnection,
    id: &str,
    until: DateTime<Utc>,
    crashed: bool,
) -> Result<()> {
    let crashes = (!crashed).then_some(webhook_events::crashes.eq(0));
    diesel::update(webhook_events::table.find(id))
        .set((webhook_events::next_try_at.eq(until), crashes))
        .execute(connection)
        .await?;
    Ok(())
}

/// What is kept of an event: its name. The rest is personal data.
const BLANK: &str = "jsonb_build_object('event', payload->'event')";

/// Claims an event for this transaction and blanks it; false if it has already been applied.
pub async fn mark_applied(
    connection: &mut AsyncPgConnection,
    id: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    let pending = webhook_events::table
        .find(id)
        .filter(webhook_events::applied_at.is_null());
    let updated = diesel::update(pending)
        .set((
            webhook_events::applied_at.eq(now),
            webhook_events::payload.eq(sql::<Jsonb>(BLANK)),
        ))
        .execute(connection)
        .await?;
    Ok(updated == 1)
}

/// Blanks events that an earlier version has applied without blanking; returns their number.
pub async fn blank_applied(connection: &mut AsyncPgConnection) -> Result<usize> {
    let whole = webhook_events::table
        .filter(webhook_events::applied_at.is_not_null())
        .filter(sql::<Bool>("payload ? 'room'"));
    let blank = webhook_events::payload.eq(sql::<Jsonb>(BLANK));
    let blanked = diesel::update(whole).set(blank).execute(connection);
    Ok(blanked.await?)
}

/// Deletes events that were received before `before` and applied; returns their number.
pub async fn purge(connection: &mut AsyncPgConnection, before: DateTime<Utc>) -> Result<usize> {
    let old = webhook_events::table
        .filter(webhook_events::applied_at.is_not_null())
        .filter(webhook_events::received_at.lt(before));
    Ok(diesel::delete(old).execute(connection).await?)
}
