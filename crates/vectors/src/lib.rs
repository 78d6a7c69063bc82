//! Text embeddings: a local model from a directory, or any OpenAI-compatible endpoint.
//!
//! The local model is behind the feature `local`, because it takes long to compile.

#[cfg(feature = "local")]
mod local;
mod openai;
mod tokens;

use futures_util::future::BoxFuture;
use patchbay_domain::knowledge::Embedding;

#[cfg(feature = "local")]
pub use local::Local;
pub use openai::OpenAi;
pub use tokens::TokenCounter;

/// Why there is no embedding.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The queue is full.
    #[error("the embedding model is busy")]
    Busy,
    /// The provider cannot be reached or fails; a retry may succeed.
    #[error("embedding provider: {0}")]
    Unavailable(String),
    /// The provider refuses, or the model cannot be used; a retry is of no use.
    #[error("embedding provider: {0}")]
    Refused(String),
    /// The model panicked on these texts; others still work.
    #[error("the embedding model panicked on a text")]
    Panicked,
}

/// A result of a provider.
pub type Result<T> = std::result::Result<T, Error>;

/// What the texts are for, which decides their priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The query of a search; a client waits for it.
    Query,
    /// Chunks of files, in the background.
    Document,
}

/// A model; only embeddings of the same model can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name, which is stored with its embeddings.
    pub name: String,
    /// Preferred number of texts in one request.
    pub batch: usize,
}

/// How a local model embeds documents, beside queries.
#[derive(Clone, Copy, Debug)]
pub struct Background {
    /// Number of threads.
    pub threads: usize,
    /// Their nice value, 0 to 19. They get a share of a busy processor: 5 is a quarter of what others get, 19 almost
    /// nothing.
    pub nice: i32,
}

/// A provider of embeddings.
pub trait Embedder: Send + Sync {
    /// Its model.
    fn model(&self) -> &Model;

    /// One embedding of length 1 for each text.
    fn embed(&self, texts: Vec<String>, purpose: Purpose) -> BoxFuture<'_, Result<Vec<Embedding>>>;
}

/// Normalises a vector to length 1.
fn unit(vector: Vec<f32>) -> Embedding {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    Embedding(vector.into_iter().map(|x| x * scale).collect())
}
