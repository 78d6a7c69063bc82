//! Transcripts of sessions, turn by turn.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{SessionId, TenantId, TurnId, transcript::TurnRole};

use crate::{Result, Rows, TenantTx, Window, schema::transcript_turns as turns};

/// One turn.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = turns, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct Turn {
    pub tenant_id: TenantId,
    pub id: TurnId,
    pub session_id: SessionId,
    /// The worker's own id of the turn.
    pub turn_id: String,
    pub role: TurnRole,
    pub text: String,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub interrupted: bool,
    pub created_at: DateTime<Utc>,
}

/// Adds turns, all in one statement; existing ones stay unchanged. Returns the number of new ones.
pub async fn append(tx: &mut TenantTx, batch: &[Turn]) -> Result<usize> {
    Ok(diesel::insert_into(turns::table)
        .values(batch)
        .on_conflict((turns::tenant_id, turns::session_id, turns::turn_id))
        .do_nothing()
        .execute(tx)
        .await?)
}

/// A page of a session's turns.
pub async fn list(tx: &mut TenantTx, session: SessionId, window: Window) -> Result<Rows<Turn>> {
    let rows = turns::table
        .filter(turns::tenant_id.eq(tx.tenant()))
        .filter(turns::session_id.eq(session))
        .filter(turns::id.lt(window.below()))
        .order(turns::id.desc())
        .limit(window.fetch())
        .select(Turn::as_select())
        .load_stream(tx)
        .await?;
    window.fill(rows, |row: &Turn| row.text.len()).await
}
