//! Why an ingest did not come to its end.

use patchbay_persistence::Error as DbError;

use super::extraction::Fault;
use crate::Error;

/// Why an ingest did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Worth another try.
    #[error("{0}")]
    Again(String),
    /// For good: a code, and words.
    #[error("{0}: {1}")]
    Failed(String, String),
    /// The file was deleted meanwhile, or another attempt has begun.
    #[error("the file or the attempt is gone")]
    Gone,
}

impl From<Error> for IngestError {
    fn from(error: Error) -> Self {
        Self::Again(error.to_string())
    }
}

impl From<DbError> for IngestError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::ForeignKey(_) => Self::Gone,
            error => Self::Again(error.to_string()),
        }
    }
}

impl From<Fault> for IngestError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::File(code, detail) => Self::Failed(code, detail),
            Fault::Ours(why) => Self::Again(why),
        }
    }
}

impl From<patchbay_vectors::Error> for IngestError {
    fn from(error: patchbay_vectors::Error) -> Self {
        match error {
            patchbay_vectors::Error::Refused(why) => {
                tracing::error!(%why, "the embedding provider refuses");
                let detail =
                    "The embedding provider refuses; the operator finds the cause in the log.";
                Self::Failed("embedding_refused".to_owned(), detail.to_owned())
            }
            patchbay_vectors::Error::Panicked => {
                let detail = "The embedding model cannot take its text; the operator finds the cause in the log.";
                Self::Failed("embedding_failed".to_owned(), detail.to_owned())
            }
            error => Self::Again(error.to_string()),
        }
    }
}
