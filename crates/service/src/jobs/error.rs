//! Errors of jobs: worth another attempt, or final.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{Code, Error};

/// Why an attempt of a job failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// Something was not available. The job is tried again after its backoff.
    #[error("{0}")]
    Retry(String),
    /// Something that is under way has to be finished first: no failure, and looked at again after this time.
    #[error("something else has to be finished first")]
    NotYet(TimeDelta),
    /// No further attempt can succeed, for this reason.
    #[error("{0}")]
    Fail(String),
}

impl JobError {
    /// Worth another attempt, after the backoff.
    pub fn retry(reason: impl ToString) -> Self {
        Self::Retry(reason.to_string())
    }
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        match error.is(Code::StoredDataUnreadable) {
            true => Self::Fail(error.to_string()),
            false => Self::retry(error),
        }
    }
}

impl From<patchbay_livekit::Error> for JobError {
    fn from(error: patchbay_livekit::Error) -> Self {
        Self::retry(error)
    }
}

impl From<patchbay_persistence::Error> for JobError {
    fn from(error: patchbay_persistence::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<patchbay_storage::Error> for JobError {
    fn from(error: patchbay_storage::Error) -> Self {
        Error::from(error).into()
    }
}

/// Result of an attempt: when the job is due again, if ever.
pub(super) type JobResult = Result<Option<DateTime<Utc>>, JobError>;
