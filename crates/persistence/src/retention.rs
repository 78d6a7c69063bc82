//! Records that are past the time for which they are kept, deleted in batches.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Integer, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;

use crate::{Result, TenantTx, page::first_id};

/// Kind of such records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Turns of transcripts.
    Transcripts,
    /// Events of sessions.
    Timelines,
    /// Phone calls that are over.
    Calls,
    /// Events of the audit trail.
    Audit,
}

#[derive(QueryableByName)]
struct Erased {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Kind {
    /// Deletes at most `$4` rows of tenant `$1` from before `$2`, whose ids are below `$3`.
    const fn statement(self) -> &'static str {
        match self {
            Self::Transcripts => {
                "WITH erased AS (DELETE FROM transcript_turns WHERE tenant_id = $1 AND id IN (
                     SELECT id FROM transcript_turns WHERE tenant_id = $1 AND id < $3 AND created_at < $2 ORDER BY id LIMIT $4
                 ) RETURNING id) SELECT count(*) AS count FROM erased"
            }
            Self::Timelines => {
                "WITH erased AS (DELETE FROM session_events WHERE tenant_id = $1 AND id IN (
                     SELECT id FROM session_events WHERE tenant_id = $1 AND id < $3 AND at < $2 ORDER BY id LIMIT $4
                 ) RETURNING id) SELECT count(*) AS count FROM erased"
            }
            Self::Calls => "SELECT erase_old_calls($1, $2, $3, $4) AS count",
            Self::Audit => "SELECT erase_old_audit_events($1, $2, $3, $4) AS count",
        }
    }
}

/// Deletes at most `most` records of this kind from before this time; returns their number.
pub async fn erase(tx: &mut TenantTx, kind: Kind, before: DateTime<Utc>, most: i32) -> Result<i64> {
    let erased: Erased = diesel::sql_query(kind.statement())
        .bind::<SqlUuid, _>(tx.tenant())
        .bind::<Timestamptz, _>(before)
        .bind::<SqlUuid, _>(first_id(before))
        .bind::<Integer, _>(most)
        .get_result(tx)
        .await?;
    Ok(erased.count)
}
