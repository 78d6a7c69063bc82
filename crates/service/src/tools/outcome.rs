//! Outcomes of tool calls.

use std::time::Duration;

use bytes::Bytes;
use patchbay_domain::{Invalid, timeline::ToolCallStatus};
use serde_json::Value;

/// Outcome of a tool call.
pub struct Outcome {
    /// Result for the model; null if there is none.
    pub result: Value,
    /// Why the call failed.
    pub error: Option<Invalid>,
    /// Status of the HTTP response.
    pub http_status: Option<u16>,
    /// Duration of the call.
    pub(super) duration: Duration,
    /// Body of the response, with secrets masked.
    pub body: Bytes,
}

impl Outcome {
    /// A failure without a response.
    pub(super) fn failed(error: Invalid) -> Self {
        Self {
            result: Value::Null,
            error: Some(error),
            http_status: None,
            duration: Duration::ZERO,
            body: Bytes::new(),
        }
    }

    /// Status of the call.
    pub const fn status(&self) -> ToolCallStatus {
        match self.error {
            Some(_) => ToolCallStatus::Failed,
            None => ToolCallStatus::Succeeded,
        }
    }

    /// Duration in milliseconds.
    pub fn duration_ms(&self) -> u32 {
        u32::try_from(self.duration.as_millis()).unwrap_or(u32::MAX)
    }

    /// Size of the response body in bytes.
    pub fn size_bytes(&self) -> u32 {
        u32::try_from(self.body.len()).unwrap_or(u32::MAX)
    }
}
