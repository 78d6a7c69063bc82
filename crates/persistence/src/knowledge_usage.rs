//! Counters of searches and embeddings, by quarter of an hour.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{Result, TenantTx, prepared::Prepare as _, schema::knowledge_usage as usage};

/// Adds to the counters of the quarter of an hour that begins at `at`.
pub async fn add(
    tx: &mut TenantTx,
    at: DateTime<Utc>,
    (searches, embedding_seconds): (i64, f64),
) -> Result<()> {
    diesel::insert_into(usage::table)
        .values((
            usage::tenant_id.eq(tx.tenant()),
            usage::at.eq(at),
            usage::searches.eq(searches),
            usage::embedding_seconds.eq(embedding_seconds),
        ))
        .on_conflict((usage::tenant_id, usage::at))
        .do_update()
        .set((
            usage::searches.eq(usage::searches + searches),
            usage::embedding_seconds.eq(usage::embedding_seconds + embedding_seconds),
        ))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}
