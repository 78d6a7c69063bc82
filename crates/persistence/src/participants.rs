//! Participants of sessions with their times of joining and leaving.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Nullable, Timestamptz},
    upsert::excluded,
};
use diesel_async::RunQueryDsl;
use patchbay_domain::{ParticipantId, SessionId, TenantId, states::ParticipantKind};

use crate::{Result, Rows, TenantTx, Window, prepared::Prepare as _, schema::participants};

/// Maximum participants that are tracked at a time.
const MOST: i64 = 200;

/// One participant; LiveKit's `sid` distinguishes two connections of the same identity, and is null before the
/// first.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = participants, check_for_backend(diesel::pg::Pg))]
#[diesel(treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "columns")]
pub struct Participant {
    pub tenant_id: TenantId,
    pub id: ParticipantId,
    pub session_id: SessionId,
    pub sid: Option<String>,
    pub identity: String,
    pub name: String,
    pub kind: ParticipantKind,
    pub joined_at: Option<DateTime<Utc>>,
    pub left_at: Option<DateTime<Utc>>,
    pub disconnect_reason: Option<String>,
    pub invited_at: Option<DateTime<Utc>>,
}

/// The participants of a session: those in the room first, then the most recent.
pub async fn of_session(tx: &mut TenantTx, session: SessionId) -> Result<Vec<Participant>> {
    Ok(participants::table
        .filter(participants::tenant_id.eq(tx.tenant()))
        .filter(participants::session_id.eq(session))
        .order((
            participants::left_at.is_null().desc(),
            participants::id.desc(),
        ))
        .limit(MOST)
        .select(Participant::as_select())
        .load(tx)
        .await?)
}

/// A page of a session's participants.
pub async fn list(
    tx: &mut TenantTx,
    session: SessionId,
    window: Window,
) -> Result<Rows<Participant>> {
    let rows = participants::table
        .filter(participants::tenant_id.eq(tx.tenant()))
        .filter(participants::session_id.eq(session))
        .filter(participants::id.lt(window.below()))
        .order(participants::id.desc())
        .limit(window.fetch())
        .select(Participant::as_select())
        .load(tx)
        .await?;
    Ok(window.cut(rows))
}

/// Stores the mutable columns of a tracked participant; the session's row must be locked.
pub async fn update(tx: &mut TenantTx, participant: &Participant) -> Result<()> {
    diesel::update(participants::table.find((tx.tenant(), participant.id)))
        .set((
            participants::sid.eq(&participant.sid),
            participants::name.eq(&participant.name),
            participants::kind.eq(&participant.kind),
            participants::joined_at.eq(participant.joined_at),
            participants::left_at.eq(participant.left_at),
            participants::disconnect_reason.eq(&participant.disconnect_reason),
        ))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// Stores a participant that is new or no longer tracked; the session's row must be locked.
pub async fn insert(tx: &mut TenantTx, participant: &Participant) -> Result<()> {
    diesel::insert_into(participants::table)
        .values(participant)
        .on_conflict((
            participants::tenant_id,
            participants::session_id,
            participants::sid,
        ))
        .do_update()
        .set((
            participants::joined_at.eq(diesel::dsl::sql::<Nullable<Timestamptz>>(
                "coalesce(excluded.joined_at, participants.joined_at)",
            )),
            participants::left_at.eq(excluded(participants::left_at)),
            participants::disconnect_reason.eq(excluded(participants::disconnect_reason)),
        ))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}
