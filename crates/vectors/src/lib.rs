//! From text to embeddings: a local model from a directory, or any OpenAI-compatible endpoint.
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
    /// More wait already than will be served soon.
    #[error("the embedding model is busy")]
    Busy,
    /// The provider cannot be reached or fails; worth another try.
    #[error("embedding provider: {0}")]
    Unavailable(String),
    /// The provider refuses, or the model cannot be used; another try is of no use.
    #[error("embedding provider: {0}")]
    Refused(String),
    /// The model panicked on these texts; it goes on with others.
    #[error("the embedding model panicked on a text")]
    Panicked,
}

/// A result of a provider.
pub type Result<T> = std::result::Result<T, Error>;

/// What the texts are, for what goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody waits for a search.
    Query,
    /// Parts of files, in the background.
    Document,
}

/// Which embeddings a provider makes; only those of one model can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name, as it is kept with what it made.
    pub name: String,
    /// Texts of one request that it is good at.
    pub batch: usize,
}

/// A provider of embeddings.
pub trait Embedder: Send + Sync {
    /// Its model.
    fn model(&self) -> &Model;

    /// One embedding of length 1 for each text.
    fn embed(&self, texts: Vec<String>, purpose: Purpose) -> BoxFuture<'_, Result<Vec<Embedding>>>;
}

/// The vector with length 1.
fn unit(vector: Vec<f32>) -> Embedding {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    Embedding(vector.into_iter().map(|x| x * scale).collect())
}
