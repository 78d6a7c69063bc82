//! Ingests: the progress of each attempt to make a file searchable.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{
    FileId, ObjectId, TenantId,
    knowledge::{IngestState, Stage},
};
use serde_json::Value;

use crate::{
    Result, TenantTx,
    prepared::Prepare as _,
    schema::{files, ingests},
};

/// One ingest.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = ingests, check_for_backend(diesel::pg::Pg))]
#[diesel(
    treat_none_as_default_value = false,
    primary_key(tenant_id, file_id, generation),
    treat_none_as_null = true
)]
#[expect(missing_docs, reason = "columns")]
pub struct Ingest {
    pub tenant_id: TenantId,
    pub file_id: FileId,
    pub generation: i32,
    pub state: IngestState,
    pub stage: Option<Stage>,
    pub stages: Value,
    pub settings: String,
    pub model: String,
    pub pages: Option<i32>,
    pub chunks: Option<i32>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub attempts: i32,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Inserts an ingest.
pub async fn insert(tx: &mut TenantTx, ingest: &Ingest) -> Result<()> {
    diesel::insert_into(ingests::table)
        .values(ingest)
        .execute(tx)
        .await?;
    Ok(())
}

/// The ingest of this generation.
pub async fn find(tx: &mut TenantTx, file: FileId, generation: i32) -> Result<Option<Ingest>> {
    Ok(ingests::table
        .find((tx.tenant(), file, generation))
        .select(Ingest::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// Begins another attempt at an ingest that has not ended; returns its number.
pub async fn begin_attempt(
    tx: &mut TenantTx,
    (file, generation): (FileId, i32),
) -> Result<Option<i32>> {
    let open = ingests::table
        .find((tx.tenant(), file, generation))
        .filter(ingests::finished_at.is_null());
    Ok(diesel::update(open)
        .set(ingests::attempts.eq(ingests::attempts + 1))
        .returning(ingests::attempts)
        .prepared()
        .get_result(tx)
        .await
        .optional()?)
}

/// Stores the progress of an attempt; false if it is not the latest one any more, the ingest has ended, or the
/// file was deleted.
pub async fn update(tx: &mut TenantTx, ingest: &Ingest) -> Result<bool> {
    let ours = ingests::table
        .find((tx.tenant(), ingest.file_id, ingest.generation))
        .filter(ingests::attempts.eq(ingest.attempts))
        .filter(ingests::finished_at.is_null());
    let stored = diesel::update(ours)
        .set(ingest)
        .prepared()
        .execute(tx)
        .await?;
    Ok(stored == 1)
}

/// A finished ingest of the same content with the same settings, whose chunks still exist.
pub async fn find_equivalent(
    tx: &mut TenantTx,
    object: ObjectId,
    settings: &str,
) -> Result<Option<Ingest>> {
    Ok(ingests::table
        .inner_join(
            files::table.on(files::tenant_id
                .eq(ingests::tenant_id)
                .and(files::id.eq(ingests::file_id))
                .and(files::searchable_generation.eq(ingests::generation.nullable()))),
        )
        .filter(ingests::tenant_id.eq(tx.tenant()))
        .filter(files::object_id.eq(object))
        .filter(ingests::settings.eq(settings))
        .filter(ingests::state.eq(IngestState::Done))
        .order(files::id)
        .select(Ingest::as_select())
        .first(tx)
        .await
        .optional()?)
}
