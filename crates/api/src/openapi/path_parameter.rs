//! Parameters of paths.

use serde_json::Value;

/// A parameter of a path.
pub trait PathParameter {
    /// Its schema and example, and a description where it is not an id.
    fn describe() -> Value;
}
