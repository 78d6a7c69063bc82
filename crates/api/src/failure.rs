//! What went wrong with a resource, in the same form everywhere.

use serde::Serialize;
use utoipa::ToSchema;

/// What went wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"code": "no_worker", "message": "No worker took any of 4 dispatches."}))]
pub struct Failure {
    /// Stable code. New codes may be added.
    #[schema(max_length = 64)]
    code: String,
    /// Explanation for a person.
    #[schema(max_length = 4000)]
    message: String,
}

impl Failure {
    /// The code of a failure of which nothing more exact is known.
    pub const FAILED: &str = "failed";

    /// Creates a failure.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}
