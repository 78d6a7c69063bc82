//! Webhook events, which are stored before the response and applied afterwards, and the room names that map them
//! to tenants.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{BigInt, Bool, Double, Integer, Jsonb, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use patchbay_domain::{SessionId, TenantId};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    Result, TenantTx,
    prepared::Prepare as _,
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

/// Stores an event of this room; false if it is stored already.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    (id, room): (&str, &str),
    payload: &Value,
    now: DateTime<Utc>,
) -> Result<bool> {
    let inserted = diesel::insert_into(webhook_events::table)
        .values((
            webhook_events::id.eq(id),
            webhook_events::room.eq(digest_of(room)),
            webhook_events::received_at.eq(now),
            webhook_events::payload.eq(payload),
            webhook_events::next_try_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .await?;
    Ok(inserted == 1)
}

/// An event that has been claimed.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Claimed {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = Text)]
    pub room: String,
    #[diesel(sql_type = Timestamptz)]
    pub received_at: DateTime<Utc>,
    #[diesel(sql_type = Jsonb)]
    pub payload: Value,
    /// Number of attempts that ended in a crash, this one included: an event may crash the process, which could not
    /// count it afterwards.
    #[diesel(sql_type = Integer)]
    pub crashes: i32,
    /// Number of attempts that failed.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
}

/// Claims the events that are due of up to `rooms` rooms, for the time of the lease; oldest rooms first, in order
/// within each room. A room whose events another process works on is left to it. An event that has crashed is claimed
/// alone, so that no other is blamed for it, and so is one that an earlier version has stored, without its room.
pub async fn claim(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    lease: Duration,
    rooms: i64,
) -> Result<Vec<Claimed>> {
    let statement = "
        WITH heads AS (
            SELECT e.room, e.crashes > 0 OR e.room = '' AS is_alone FROM webhook_events e
            WHERE e.applied_at IS NULL AND e.next_try_at <= $1 AND coalesce(e.claimed_until < now(), true)
              AND NOT EXISTS (
                  SELECT FROM webhook_events o
                  WHERE o.room = e.room AND o.applied_at IS NULL
                    AND (o.claimed_until >= now() OR (o.next_try_at, o.id) < (e.next_try_at, e.id)))
            ORDER BY e.next_try_at, e.id LIMIT $3 FOR UPDATE OF e SKIP LOCKED
        ), due AS (
            SELECT w.id FROM heads CROSS JOIN LATERAL (
                SELECT id FROM webhook_events
                WHERE room = heads.room AND applied_at IS NULL AND next_try_at <= $1
                ORDER BY next_try_at, id LIMIT CASE WHEN heads.is_alone THEN 1 ELSE 64 END) w
        ), claimed AS (
            UPDATE webhook_events w
            SET claimed_until = now() + make_interval(secs => $2), crashes = w.crashes + 1
            FROM due WHERE w.id = due.id
            RETURNING w.id, w.room, w.received_at, w.payload, w.crashes, w.attempts, w.next_try_at
        )
        SELECT * FROM claimed ORDER BY next_try_at, id";
    Ok(diesel::sql_query(statement)
        .bind::<Timestamptz, _>(now)
        .bind::<Double, _>(lease.as_secs_f64())
        .bind::<BigInt, _>(rooms)
        .load(connection)
        .await?)
}

/// Releases an event that could not be applied until this time.
pub async fn postpone(
    connection: &mut AsyncPgConnection,
    id: &str,
    until: DateTime<Utc>,
    crashed: bool,
) -> Result<()> {
    let crashes = (!crashed).then_some(webhook_events::crashes.eq(0));
    diesel::update(webhook_events::table.find(id))
        .set((
            webhook_events::next_try_at.eq(until),
            webhook_events::attempts.eq(webhook_events::attempts + 1),
            webhook_events::claimed_until.eq(None::<DateTime<Utc>>),
            crashes,
        ))
        .prepared()
        .execute(connection)
        .await?;
    Ok(())
}

/// What is kept of an event: its name. The rest is personal data.
const BLANK: &str = "jsonb_build_object('event', payload->'event')";

/// Marks events as applied and blanks them; returns those that had not been applied before.
pub async fn mark_applied(
    connection: &mut AsyncPgConnection,
    ids: &[&str],
    now: DateTime<Utc>,
) -> Result<Vec<String>> {
    let pending = webhook_events::table
        .filter(webhook_events::id.eq_any(ids))
        .filter(webhook_events::applied_at.is_null());
    Ok(diesel::update(pending)
        .set((
            webhook_events::applied_at.eq(now),
            webhook_events::claimed_until.eq(None::<DateTime<Utc>>),
            webhook_events::payload.eq(sql::<Jsonb>(BLANK)),
        ))
        .returning(webhook_events::id)
        .prepared()
        .get_results(connection)
        .await?)
}

/// Blanks events that an earlier version has applied without blanking; returns their number.
pub async fn blank_applied(connection: &mut AsyncPgConnection) -> Result<usize> {
    let whole = webhook_events::table
        .filter(webhook_events::applied_at.is_not_null())
        .filter(sql::<Bool>("payload ? 'room'"));
    let blank = webhook_events::payload.eq(sql::<Jsonb>(BLANK));
    let blanked = diesel::update(whole)
        .set(blank)
        .prepared()
        .execute(connection);
    Ok(blanked.await?)
}

/// Deletes events that were received before `before` and applied; returns their number.
pub async fn purge(connection: &mut AsyncPgConnection, before: DateTime<Utc>) -> Result<usize> {
    let old = webhook_events::table
        .filter(webhook_events::applied_at.is_not_null())
        .filter(webhook_events::received_at.lt(before));
    Ok(diesel::delete(old).execute(connection).await?)
}
