//! Errors of ingests.

use patchbay_persistence::Error as DbError;

use super::extraction::ExtractionError;
use crate::Error;

/// Why an attempt to ingest a file did not complete.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A temporary error, after which the ingest is retried.
    #[error("{0}")]
    Temporary(String),
    /// A permanent error: error code and message.
    #[error("{0}: {1}")]
    Failed(String, String),
    /// The file was deleted in the meantime, or another attempt has started.
    #[error("the file was deleted or the attempt is superseded")]
    Superseded,
}

impl From<Error> for IngestError {
    fn from(error: Error) -> Self {
        Self::Temporary(error.to_string())
    }
}

impl From<DbError> for IngestError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::ForeignKey(_) => Self::Superseded,
            error => Self::Temporary(error.to_string()),
        }
    }
}

impl From<ExtractionError> for IngestError {
    fn from(error: ExtractionError) -> Self {
        match error {
            ExtractionError::File(code, detail) => Self::Failed(code, detail),
            ExtractionError::Internal(cause) => Self::Temporary(cause),
        }
    }
}

impl From<patchbay_vectors::Error> for IngestError {
    fn from(error: patchbay_vectors::Error) -> Self {
        match error {
            patchbay_vectors::Error::Refused(cause) => {
                tracing::error!(%cause, "the embedding provider refused the request");
                let detail = "The embedding provider refused the request; the operator finds the cause in the log.";
                Self::Failed("embedding_refused".to_owned(), detail.to_owned())
            }
            patchbay_vectors::Error::Panicked => {
                let detail = "The embedding model failed on the text; the operator finds the cause in the log.";
                Self::Failed("embedding_failed".to_owned(), detail.to_owned())
            }
            error => Self::Temporary(error.to_string()),
        }
    }
}
