//! Usage of providers, by session.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Double, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use patchbay_domain::{SessionId, TenantId, UsageId, transcript::UsageKind};

use crate::{
    Result, TenantTx,
    prepared::{FEW, Prepare as _},
    schema::usage_records,
};

/// One reported amount.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = usage_records, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct Usage {
    pub tenant_id: TenantId,
    pub id: UsageId,
    pub session_id: SessionId,
    /// The worker's own id of the report.
    pub batch_id: String,
    /// Position in the report.
    pub position: i32,
    pub kind: UsageKind,
    pub provider: String,
    pub model: String,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub audio_seconds: f64,
    pub characters: i64,
    pub created_at: DateTime<Utc>,
}

/// The total of one provider's model.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Total {
    #[diesel(sql_type = Text)]
    pub kind: UsageKind,
    #[diesel(sql_type = Text)]
    pub provider: String,
    #[diesel(sql_type = Text)]
    pub model: String,
    #[diesel(sql_type = BigInt)]
    pub input_tokens: i64,
    #[diesel(sql_type = BigInt)]
    pub output_tokens: i64,
    #[diesel(sql_type = Double)]
    pub audio_seconds: f64,
    #[diesel(sql_type = BigInt)]
    pub characters: i64,
}

/// Adds a report in one statement; an existing one stays unchanged. Returns the number of new amounts.
pub async fn append(tx: &mut TenantTx, batch: &[Usage]) -> Result<usize> {
    Ok(diesel::insert_into(usage_records::table)
        .values(batch)
        .on_conflict_do_nothing()
        .prepared_if(batch.len() <= FEW)
        .execute(tx)
        .await?)
}

/// Removes the worker's ids of a session's reports; the amounts stay.
pub async fn forget_reports(tx: &mut TenantTx, session: SessionId) -> Result<()> {
    let of_session = usage_records::table
        .filter(usage_records::tenant_id.eq(tx.tenant()))
        .filter(usage_records::session_id.eq(session));
    // Replaced by the row's own id, as the ids must stay unique within the session.
    let own_id = diesel::dsl::sql::<Text>("id::text");
    diesel::update(of_session)
        .set(usage_records::batch_id.eq(own_id))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// The usage of a session, summed up by kind, provider and model.
pub async fn of_session(tx: &mut TenantTx, session: SessionId) -> Result<Vec<Total>> {
    let query = "SELECT kind, provider, model, sum(input_tokens)::bigint AS input_tokens,
                        sum(output_tokens)::bigint AS output_tokens,
                        sum(audio_seconds) AS audio_seconds, sum(characters)::bigint AS characters
                 FROM usage_records WHERE tenant_id = $1 AND session_id = $2
                 GROUP BY kind, provider, model ORDER BY kind, provider, model";
    Ok(diesel::sql_query(query)
        .bind::<SqlUuid, _>(tx.tenant())
        .bind::<SqlUuid, _>(session)
        .prepared()
        .load(tx)
        .await?)
}
