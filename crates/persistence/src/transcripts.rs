//! Transcripts of sessions, turn by turn.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{SessionId, TenantId, TurnId, transcript::TurnRole};

use uuid::Uuid;

use crate::{
    Result, Rows, TenantTx, Window,
    prepared::{FEW, Prepare as _},
    schema::transcript_turns as turns,
};

/// One turn.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = turns, check_for_backend(diesel::pg::Pg))]
#[diesel(treat_none_as_default_value = false)]
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
        .prepared_if(batch.len() <= FEW)
        .execute(tx)
        .await?)
}

/// The id of the turn with this id of the worker's.
pub async fn find_id(tx: &mut TenantTx, session: SessionId, turn: &str) -> Result<Option<TurnId>> {
    Ok(turns::table
        .filter(turns::tenant_id.eq(tx.tenant()))
        .filter(turns::session_id.eq(session))
        .filter(turns::turn_id.eq(turn))
        .select(turns::id)
        .first(tx)
        .await
        .optional()?)
}

/// A page of a session's turns, newest first; or those after `start`, oldest first.
pub async fn list(
    tx: &mut TenantTx,
    session: SessionId,
    window: Window,
    start: Option<Uuid>,
) -> Result<Rows<Turn>> {
    let query = turns::table
        .filter(turns::tenant_id.eq(tx.tenant()))
        .filter(turns::session_id.eq(session))
        .limit(window.fetch())
        .select(Turn::as_select())
        .into_boxed();
    let query = match start {
        Some(start) => query.filter(turns::id.gt(start)).order(turns::id.asc()),
        None => query
            .filter(turns::id.lt(window.below()))
            .order(turns::id.desc()),
    };
    let rows = query.load_stream(tx).await?;
    window.fill(rows, |row: &Turn| row.text.len()).await
}
