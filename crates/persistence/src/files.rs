//! Files, and their attachments to agents.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Bool, Jsonb, Text},
};
use diesel_async::RunQueryDsl;
use patchbay_domain::{AgentId, FileId, Metadata, ObjectId, TenantId, knowledge::IngestState};
use serde_json::Value;

use crate::{
    Result, Rows, TenantTx, Window,
    ingests::Ingest,
    names::{lower, starts_with},
    prepared::Prepare as _,
    schema::{agent_files, agents, files, ingests},
};

/// One file.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = files, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct File {
    pub tenant_id: TenantId,
    pub id: FileId,
    pub object_id: ObjectId,
    pub name: String,
    pub media_type: String,
    pub size: i64,
    pub sha256: Vec<u8>,
    pub metadata: Metadata,
    pub last_generation: i32,
    pub searchable_generation: Option<i32>,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Inserts a file.
pub async fn insert(tx: &mut TenantTx, file: &File) -> Result<()> {
    diesel::insert_into(files::table)
        .values((
            files::tenant_id.eq(tx.tenant()),
            files::id.eq(file.id),
            files::object_id.eq(file.object_id),
            files::media_type.eq(&file.media_type),
            files::size.eq(file.size),
            files::sha256.eq(&file.sha256),
            files::created_at.eq(file.created_at),
            files::name.eq(&file.name),
            files::metadata.eq(&file.metadata),
            files::last_generation.eq(file.last_generation),
            files::searchable_generation.eq(file.searchable_generation),
            files::revision.eq(file.revision),
            files::updated_at.eq(file.updated_at),
        ))
        .execute(tx)
        .await?;
    Ok(())
}

/// Stores the mutable columns of a file.
pub async fn update(tx: &mut TenantTx, file: &File) -> Result<()> {
    diesel::update(files::table.find((tx.tenant(), file.id)))
        .set((
            files::name.eq(&file.name),
            files::metadata.eq(&file.metadata),
            files::last_generation.eq(file.last_generation),
            files::searchable_generation.eq(file.searchable_generation),
            files::revision.eq(file.revision),
            files::updated_at.eq(file.updated_at),
        ))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// Finds and locks a file.
pub async fn lock(tx: &mut TenantTx, id: FileId) -> Result<Option<File>> {
    Ok(files::table
        .find((tx.tenant(), id))
        .select(File::as_select())
        .for_update()
        .first(tx)
        .await
        .optional()?)
}

/// A file and its latest ingest, if it has one.
pub type WithIngest = (File, Option<Ingest>);

/// The latest ingest of a file.
macro_rules! latest {
    () => {
        ingests::tenant_id
            .eq(files::tenant_id)
            .and(ingests::file_id.eq(files::id))
            .and(ingests::generation.eq(files::last_generation))
    };
}

/// Finds a file with its latest ingest.
pub async fn find(tx: &mut TenantTx, id: FileId) -> Result<Option<WithIngest>> {
    Ok(files::table
        .left_join(ingests::table.on(latest!()))
        .filter(files::tenant_id.eq(tx.tenant()))
        .filter(files::id.eq(id))
        .select((File::as_select(), Option::<Ingest>::as_select()))
        .first(tx)
        .await
        .optional()?)
}

/// Filter of files.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "columns")]
pub struct Filter {
    pub name: Option<String>,
    pub media_type: Option<String>,
    pub ingest_state: Option<IngestState>,
    /// Whether the searchable chunks are by the model with this name, or are not.
    pub embeddings: Option<(bool, String)>,
    pub sha256: Option<Vec<u8>>,
    pub metadata: Option<Value>,
    pub agent_id: Option<AgentId>,
}

/// A page of files with their latest ingests.
pub async fn list(tx: &mut TenantTx, window: Window, filter: Filter) -> Result<Rows<WithIngest>> {
    let tenant = tx.tenant();
    let query = |window: Window| {
        let filter = filter.clone();
        let mut query = files::table
            .left_join(ingests::table.on(latest!()))
            .filter(files::tenant_id.eq(tenant))
            .filter(files::id.lt(window.below()))
            .order(files::id.desc())
            .limit(window.fetch())
            .select((File::as_select(), Option::<Ingest>::as_select()))
            .into_boxed();
        if let Some(name) = filter.name {
            query = query.filter(starts_with(lower(files::name), lower(name)));
        }
        if let Some(media_type) = filter.media_type {
            query = query.filter(files::media_type.eq(media_type));
        }
        if let Some(state) = filter.ingest_state {
            query = query.filter(ingests::state.eq(state));
        }
        if let Some(sha256) = filter.sha256 {
            query = query.filter(files::sha256.eq(sha256));
        }
        if let Some(metadata) = filter.metadata {
            query = query
                .filter(diesel::dsl::sql::<Bool>("files.metadata @> ").bind::<Jsonb, _>(metadata));
        }
        if let Some((is_it, model)) = filter.embeddings {
            let exists = "EXISTS (SELECT FROM ingests seen WHERE seen.tenant_id = files.tenant_id
                AND seen.file_id = files.id AND seen.generation = files.searchable_generation AND (seen.model = ";
            query = query.filter(
                diesel::dsl::sql::<Bool>(exists)
                    .bind::<Text, _>(model)
                    .sql(") = ")
                    .bind::<Bool, _>(is_it)
                    .sql(")"),
            );
        }
        if let Some(agent) = filter.agent_id {
            let attached = agent_files::table
                .filter(agent_files::tenant_id.eq(tenant))
                .filter(agent_files::agent_id.eq(agent))
                .select(agent_files::file_id);
            query = query.filter(files::id.eq_any(attached));
        }
        query
    };
    let total = window.total(tx, query).await?;
    let rows = window.cut(query(window).load(tx).await?);
    Ok(rows.with_total(total))
}

/// Bytes of all files of the tenant; duplicates count. Other callers wait until this transaction ends, so that
/// concurrent uploads are counted one after the other.
pub async fn count_bytes(tx: &mut TenantTx) -> Result<i64> {
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1::text || 'files', 0))")
        .bind::<diesel::sql_types::Uuid, _>(tx.tenant())
        .prepared()
        .execute(tx)
        .await?;
    let sizes = files::table.filter(files::tenant_id.eq(tx.tenant()));
    let sum = diesel::dsl::sql::<diesel::sql_types::BigInt>("coalesce(sum(size), 0)::bigint");
    Ok(sizes.select(sum).prepared().get_result(tx).await?)
}

/// Those of these files that exist.
pub async fn existing(tx: &mut TenantTx, ids: &[FileId]) -> Result<Vec<FileId>> {
    Ok(files::table
        .filter(files::tenant_id.eq(tx.tenant()))
        .filter(files::id.eq_any(ids))
        .select(files::id)
        .load(tx)
        .await?)
}

/// Deletes a file with its ingests, chunks and attachments.
pub async fn delete(tx: &mut TenantTx, id: FileId) -> Result<()> {
    diesel::delete(files::table.find((tx.tenant(), id)))
        .execute(tx)
        .await?;
    Ok(())
}

/// Attaches files to an agent; attached ones stay unchanged. Returns the new ones.
pub async fn attach(
    tx: &mut TenantTx,
    agent: AgentId,
    ids: &[FileId],
    now: DateTime<Utc>,
) -> Result<Vec<FileId>> {
    let row = |id: &FileId| {
        (
            agent_files::tenant_id.eq(tx.tenant()),
            agent_files::agent_id.eq(agent),
            agent_files::file_id.eq(*id),
            agent_files::created_at.eq(now),
        )
    };
    let rows: Vec<_> = ids.iter().map(row).collect();
    Ok(diesel::insert_into(agent_files::table)
        .values(rows)
        .on_conflict_do_nothing()
        .returning(agent_files::file_id)
        .get_results(tx)
        .await?)
}

/// Detaches a file from an agent; false if it was not attached.
pub async fn detach(tx: &mut TenantTx, agent: AgentId, id: FileId) -> Result<bool> {
    let row = agent_files::table.find((tx.tenant(), agent, id));
    Ok(diesel::delete(row).execute(tx).await? == 1)
}

/// A page of the agents that a file is attached to, with their names.
pub async fn uses(
    tx: &mut TenantTx,
    id: FileId,
    window: Window,
) -> Result<Rows<(AgentId, String)>> {
    let agent = agents::tenant_id
        .eq(agent_files::tenant_id)
        .and(agents::id.eq(agent_files::agent_id));
    let rows = agent_files::table
        .inner_join(agents::table.on(agent))
        .filter(agent_files::tenant_id.eq(tx.tenant()))
        .filter(agent_files::file_id.eq(id))
        .filter(agents::id.lt(window.below()))
        .order(agents::id.desc())
        .limit(window.fetch())
        .select((agents::id, agents::name))
        .load(tx)
        .await?;
    Ok(window.cut(rows))
}
