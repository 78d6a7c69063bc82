//! Webhook events, stored before they are answered and applied afterwards, and the rooms by whose
//! names they find their tenant.

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

/// Puts a digest in the place of the names of a session's rooms, which may tell who called. An
/// unexpired token can still bring such a room back; by its digest it is known, and deleted.
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

/// What stands for the name of a room whose session was erased. Its random end keeps it from being guessed.
fn digest_of(name: &str) -> String {
    format!("sha256:{:x}", Sha256::digest(name))
}

/// The rooms of ours among these names, also those of sessions that were erased.
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

/// An event that waits to be applied.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = webhook_events, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct Pending {
    pub id: String,
    pub received_at: DateTime<Utc>,
    pub payload: Value,
}

/// Events that wait to be applied, oldest first.
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

/// Counts a try as crashed before it is made: an event may take the process with it. Answers how many tries
/// in a row have crashed if this one does.
pub async fn count_try(connection: &mut AsyncPgConnection, id: &str) -> Result<i32> {
    Ok(diesel::update(webhook_events::table.find(id))
        .set(webhook_events::crashes.eq(webhook_events::crashes + 1))
        .returning(webhook_events::crashes)
        .get_result(connection)
        .await?)
}

/// Puts an event that could not be applied behind the others.
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

/// What stays of an event: its name. The rest tells of people.
const BLANK: &str = "jsonb_build_object('event', payload->'event')";

/// Claims an event for the transaction at hand, and blanks it; false when it has been applied by
/// another.
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

/// Blanks what an earlier version has applied without blanking it; answers how many.
pub async fn blank_applied(connection: &mut AsyncPgConnection) -> Result<usize> {
    let whole = webhook_events::table
        .filter(webhook_events::applied_at.is_not_null())
        .filter(sql::<Bool>("payload ? 'room'"));
    let blank = webhook_events::payload.eq(sql::<Jsonb>(BLANK));
    let blanked = diesel::update(whole).set(blank).execute(connection);
    Ok(blanked.await?)
}

/// Deletes events that were received before `before` and applied; answers how many.
pub async fn purge(connection: &mut AsyncPgConnection, before: DateTime<Utc>) -> Result<usize> {
    let old = webhook_events::table
        .filter(webhook_events::applied_at.is_not_null())
        .filter(webhook_events::received_at.lt(before));
    Ok(diesel::delete(old).execute(connection).await?)
}
