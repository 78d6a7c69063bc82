//! Duration limits of a session.

use serde::{Deserialize, Serialize};

use super::range;
use crate::invalid::Violation;

/// Limits of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"max_duration_seconds": 600, "idle_seconds": 60}))
)]
pub struct Limits {
    /// Seconds after which a running session is stopped with the reason `max_duration`.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 86400))]
    pub max_duration_seconds: u32,
    /// `pipeline`: seconds of silence on both sides after which the agent ends the session with the reason
    /// `idle`; never by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 5, maximum = 3600))]
    pub idle_seconds: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_duration_seconds: 3600,
            idle_seconds: None,
        }
    }
}

impl Limits {
    pub(super) fn check(&self, found: &mut Vec<Violation>) {
        let mut check = |field: &str, value: u32, allowed| {
            range::check(&format!("/limits/{field}"), value, allowed, found);
        };
        check(
            "max_duration_seconds",
            self.max_duration_seconds,
            (1.0, 86_400.0),
        );
        if let Some(idle) = self.idle_seconds {
            check("idle_seconds", idle, (5.0, 3600.0));
        }
    }
}
