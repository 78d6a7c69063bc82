//! Path parameters.

use serde_json::Value;

/// A type of path parameters.
pub trait PathParameter {
    /// Returns schema and example, and a description unless it is an id.
    fn describe() -> Value;
}
