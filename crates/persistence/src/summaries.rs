//! What a list of sessions shows of other tables.

use std::collections::HashMap;

use diesel::{prelude::*, sql_types};
use diesel_async::RunQueryDsl;
use patchbay_domain::{CallId, SessionId};

use crate::{Result, TenantTx, prepared::Prepare as _};

/// Names and counts of a session.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Summary {
    #[diesel(sql_type = sql_types::Uuid)]
    pub session_id: SessionId,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub agent_name: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Integer>)]
    pub binding_number: Option<i32>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Uuid>)]
    pub call_id: Option<CallId>,
    #[diesel(sql_type = sql_types::BigInt)]
    pub turns: i64,
}

/// The summaries of these sessions.
pub async fn of_sessions(
    tx: &mut TenantTx,
    ids: &[SessionId],
) -> Result<HashMap<SessionId, Summary>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let query = "SELECT s.id AS session_id, a.name AS agent_name, b.number AS binding_number, \
                        (SELECT c.id FROM calls c \
                         WHERE c.tenant_id = $1 AND c.session_id = s.id AND c.is_primary) AS call_id, \
                        (SELECT count(*) FROM transcript_turns t \
                         WHERE t.tenant_id = $1 AND t.session_id = s.id) AS turns \
                 FROM sessions s \
                 LEFT JOIN agents a ON a.tenant_id = $1 AND a.id = s.agent_id \
                 LEFT JOIN bindings b ON b.tenant_id = $1 AND b.id = s.binding_id \
                 WHERE s.tenant_id = $1 AND s.id = ANY($2)";
    let rows: Vec<Summary> = diesel::sql_query(query)
        .bind::<sql_types::Uuid, _>(tx.tenant())
        .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
        .prepared()
        .load(tx)
        .await?;
    Ok(rows.into_iter().map(|row| (row.session_id, row)).collect())
}
