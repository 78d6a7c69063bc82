//! Why a job did not come to its end; it is tried again.

use chrono::{DateTime, Utc};

use crate::Error;

/// Why a job did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The database or another dependency, or a defect.
    #[error("{0}")]
    Service(#[from] Error),
    /// LiveKit.
    #[error("{0}")]
    LiveKit(#[from] patchbay_livekit::Error),
    /// What it needs is not there yet.
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

/// When a job is due again, if ever, or why it failed.
pub(super) type Ended = Result<Option<DateTime<Utc>>, String>;
