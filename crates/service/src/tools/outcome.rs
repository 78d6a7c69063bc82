//! How a call went.

use std::time::Duration;

use bytes::Bytes;
use patchbay_domain::{Invalid, timeline::CallStatus};
use serde_json::Value;

/// How a call went.
pub struct Outcome {
    /// What the model gets; null where there is nothing.
    pub result: Value,
    /// Why it failed.
    pub error: Option<Invalid>,
    /// Status of the HTTP answer.
    pub http_status: Option<u16>,
    /// How long it took.
    pub(super) duration: Duration,
    /// The answer's body, without secrets.
    pub answer: Bytes,
}

impl Outcome {
    /// One that failed before there was an answer.
    pub(super) fn failed(error: Invalid) -> Self {
        Self {
            result: Value::Null,
            error: Some(error),
            http_status: None,
            duration: Duration::ZERO,
            answer: Bytes::new(),
        }
    }

    /// How it ended.
    pub const fn status(&self) -> CallStatus {
        match self.error {
            Some(_) => CallStatus::Failed,
            None => CallStatus::Succeeded,
        }
    }

    /// Milliseconds it took.
    pub fn duration_ms(&self) -> u32 {
        u32::try_from(self.duration.as_millis()).unwrap_or(u32::MAX)
    }

    /// Bytes of the answer.
    pub fn size_bytes(&self) -> u32 {
        u32::try_from(self.answer.len()).unwrap_or(u32::MAX)
    }
}
