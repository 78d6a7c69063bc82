//! Chunks of searchable files. The table has no row-level security (under it the planner may not use the keyword
//! index), so every function here takes its tenant from the transaction, and every statement filters by it.

use diesel::{
    prelude::*,
    sql_types::{Array, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use patchbay_domain::{FileId, TenantId, knowledge::Embedding};

use crate::{
    Result, TenantTx,
    prepared::Prepare as _,
    schema::chunks,
    vector::{Half, HalfVec},
};

/// Separates headings in a parameter: PostgreSQL does not allow nested arrays of different lengths.
const SEPARATOR: &str = "\u{1f}";

/// A chunk to store.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct NewChunk {
    pub ordinal: i32,
    pub page: Option<i32>,
    pub headings: Vec<String>,
    pub starts_at: i32,
    pub ends_at: i32,
    pub tokens: i32,
    pub embedding: Embedding,
    pub text: String,
}

/// What the chunks belong to.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// The ingest.
    pub generation: i32,
    /// The model of the embeddings.
    pub model: String,
    /// PostgreSQL's configuration for the words, such as `english`.
    pub language: String,
}

/// The word that identifies a tenant's chunks in the keyword index.
pub(crate) fn tenant_word(tenant: TenantId) -> String {
    format!("tenant{}", tenant.uuid().simple())
}

/// Inserts chunks, all in one statement. Existing ones of the same ingest are replaced.
pub async fn insert(tx: &mut TenantTx, place: &Place, batch: &[NewChunk]) -> Result<()> {
    let all = |field: fn(&NewChunk) -> i32| batch.iter().map(field).collect::<Vec<_>>();
    let headings: Vec<_> = batch.iter().map(|c| c.headings.join(SEPARATOR)).collect();
    let embeddings: Vec<_> = batch.iter().map(|c| Half::from(&c.embedding)).collect();
    diesel::sql_query(
        "INSERT INTO chunks (tenant_id, file_id, generation, ordinal, page, headings, starts_at, ends_at,
                             tokens, model, embedding, words, text)
         SELECT $1, $2, $3, c.ordinal, c.page,
                coalesce(string_to_array(nullif(c.headings, ''), chr(31)), '{}'), c.starts_at,
                c.ends_at, c.tokens, $4, c.embedding,
                setweight(to_tsvector($5::regconfig, replace(c.headings, chr(31), ' ')), 'B')
                    || to_tsvector($5::regconfig, c.text) || array_to_tsvector(ARRAY[$6]),
                c.text
         FROM unnest($7, $8, $9, $10, $11, $12, $13, $14)
              AS c (ordinal, page, headings, starts_at, ends_at, tokens, embedding, text)
         ON CONFLICT (tenant_id, file_id, generation, ordinal) DO UPDATE SET
             page = excluded.page, headings = excluded.headings, starts_at = excluded.starts_at,
             ends_at = excluded.ends_at, tokens = excluded.tokens, model = excluded.model,
             embedding = excluded.embedding, words = excluded.words, text = excluded.text",
    )
    .bind::<SqlUuid, _>(tx.tenant())
    .bind::<SqlUuid, _>(place.file)
    .bind::<Integer, _>(place.generation)
    .bind::<Text, _>(&place.model)
    .bind::<Text, _>(&place.language)
    .bind::<Text, _>(tenant_word(tx.tenant()))
    .bind::<Array<Integer>, _>(all(|c| c.ordinal))
    .bind::<Array<Nullable<Integer>>, _>(batch.iter().map(|c| c.page).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(headings)
    .bind::<Array<Integer>, _>(all(|c| c.starts_at))
    .bind::<Array<Integer>, _>(all(|c| c.ends_at))
    .bind::<Array<Integer>, _>(all(|c| c.tokens))
    .bind::<Array<HalfVec>, _>(embeddings)
    .bind::<Array<Text>, _>(batch.iter().map(|c| &*c.text).collect::<Vec<_>>())
    .prepared()
    .execute(tx)
    .await?;
    Ok(())
}

/// Copies the chunks of an ingest to another; returns their number.
pub async fn copy(tx: &mut TenantTx, from: (FileId, i32), to: (FileId, i32)) -> Result<usize> {
    Ok(diesel::sql_query(
        "INSERT INTO chunks (tenant_id, file_id, generation, ordinal, page, headings, starts_at, ends_at,
                             tokens, model, embedding, words, text)
         SELECT tenant_id, $4, $5, ordinal, page, headings, starts_at, ends_at, tokens, model, embedding, words, text
         FROM chunks WHERE tenant_id = $1 AND file_id = $2 AND generation = $3",
    )
    .bind::<SqlUuid, _>(tx.tenant())
    .bind::<SqlUuid, _>(from.0)
    .bind::<Integer, _>(from.1)
    .bind::<SqlUuid, _>(to.0)
    .bind::<Integer, _>(to.1)
    .prepared()
    .execute(tx)
    .await?)
}

/// Deletes the chunks of a file, except those of this generation.
pub async fn delete_others(tx: &mut TenantTx, file: FileId, generation: i32) -> Result<()> {
    let others = chunks::table
        .filter(chunks::tenant_id.eq(tx.tenant()))
        .filter(chunks::file_id.eq(file))
        .filter(chunks::generation.ne(generation));
    diesel::delete(others).execute(tx).await?;
    Ok(())
}

/// Deletes the chunks of one ingest.
pub async fn delete(tx: &mut TenantTx, file: FileId, generation: i32) -> Result<()> {
    let its = chunks::table
        .filter(chunks::tenant_id.eq(tx.tenant()))
        .filter(chunks::file_id.eq(file))
        .filter(chunks::generation.eq(generation));
    diesel::delete(its).execute(tx).await?;
    Ok(())
}

/// A chunk as it is listed.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = chunks, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct Chunk {
    pub file_id: FileId,
    pub generation: i32,
    pub ordinal: i32,
    pub page: Option<i32>,
    pub headings: Vec<String>,
    pub starts_at: i32,
    pub ends_at: i32,
    pub tokens: i32,
    pub model: String,
    pub text: String,
}

/// Chunks of a file after this ordinal, in order.
pub async fn list(
    tx: &mut TenantTx,
    (file, generation): (FileId, i32),
    after: i32,
    most: i64,
) -> Result<Vec<Chunk>> {
    Ok(chunks::table
        .filter(chunks::tenant_id.eq(tx.tenant()))
        .filter(chunks::file_id.eq(file))
        .filter(chunks::generation.eq(generation))
        .filter(chunks::ordinal.gt(after))
        .order(chunks::ordinal)
        .limit(most)
        .select(Chunk::as_select())
        .load(tx)
        .await?)
}
