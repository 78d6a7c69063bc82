//! Errors of jobs, which are retried.

use chrono::{DateTime, Utc};

use crate::Error;

/// The error of a job that is to be retried.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The database or another dependency failed, or the service has a defect.
    #[error("{0}")]
    Service(#[from] Error),
    /// LiveKit failed.
    #[error("{0}")]
    LiveKit(#[from] patchbay_livekit::Error),
    /// A prerequisite does not exist yet.
    #[error("{0}")]
    NotYet(&'static str),
}

impl From<patchbay_persistence::Error> for JobError {
    fn from(error: patchbay_persistence::Error) -> Self {
        Self::Service(error.into())
    }
}

impl From<patchbay_storage::Error> for JobError {
    fn from(error: patchbay_storage::Error) -> Self {
        Self::Service(error.into())
    }
}

/// Result of a job: when it is due again, if ever, or its error message.
pub(super) type JobResult = Result<Option<DateTime<Utc>>, String>;
