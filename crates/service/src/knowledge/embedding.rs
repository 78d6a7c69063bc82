//! Embedding of chunks.

use patchbay_documents::Chunk;
use patchbay_persistence::chunks::NewChunk;
use patchbay_vectors::{Embedder, Purpose};

use super::ingest_error::IngestError;

/// Embeds a batch of chunks and returns their rows; `first` is the ordinal of the first. The headings are embedded
/// with the text, because they are part of its meaning.
pub(super) async fn embed_batch(
    embedder: &dyn Embedder,
    batch: &[Chunk],
    first: i32,
) -> Result<Vec<NewChunk>, IngestError> {
    let text = |chunk: &Chunk| match &*chunk.headings {
        [] => chunk.text.clone(),
        headings => format!("{}\n{}", headings.join(" > "), chunk.text),
    };
    let texts = batch.iter().map(text).collect();
    let embeddings = embedder.embed(texts, Purpose::Document).await?;
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let rows = (first..).zip(batch).zip(embeddings);
    let row = |((ordinal, chunk), embedding): ((i32, &Chunk), _)| NewChunk {
        ordinal,
        page: chunk.page.and_then(|page| i32::try_from(page).ok()),
        headings: chunk.headings.clone(),
        starts_at: number(chunk.starts_at),
        ends_at: number(chunk.ends_at),
        tokens: number(chunk.tokens),
        embedding,
        text: chunk.text.clone(),
    };
    Ok(rows.map(row).collect())
}
