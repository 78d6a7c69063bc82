//! Tools of MCP servers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    bounds::{check_bytes, check_timeout, default_answer_bytes, default_timeout},
    entries::{check_headers, render_headers},
    origin::origin,
    template::{Filling, Values, secrets},
};
use crate::{
    invalid::{Invalid, Violation},
    template::Budget,
    text::Text,
};

/// A tool of an MCP server (streamable HTTP).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({
        "url": "https://mcp.example.org/mcp",
        "tool_name": "find_order",
        "headers": {"authorization": "Bearer {{ secrets.SHOP_TOKEN }}"}
    }))
)]
pub struct McpCall {
    /// URL of the server; not a template.
    pub url: Text<1, 2000>,
    /// Name of the tool on the server.
    pub tool_name: Text<1, 200>,
    /// Headers by name; their values are templates over `secrets` and `call`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Text<0, 4000>>,
    /// Timeout of the whole call, in seconds.
    #[serde(default = "default_timeout")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 60))]
    pub timeout_seconds: u32,
    /// Maximum size of the response, in bytes.
    #[serde(default = "default_answer_bytes")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_048_576))]
    pub max_answer_bytes: u32,
}

impl McpCall {
    pub(super) fn check(&self, found: &mut Vec<Violation>) {
        if self.url.contains("{{") || self.url.contains("{%") {
            found.push(Invalid::new("no_template", "the URL is no template").at("/mcp/url"));
        } else if let Err(invalid) = origin(&self.url) {
            found.push(invalid.at("/mcp/url"));
        }
        check_headers(&self.headers, Some(&BTreeSet::new()), "/mcp/headers", found);
        check_timeout(self.timeout_seconds, "/mcp", found);
        check_bytes(self.max_answer_bytes, "/mcp", found);
    }

    pub(super) fn secrets(&self) -> BTreeSet<String> {
        self.headers
            .values()
            .flat_map(|source| secrets(source))
            .collect()
    }

    /// Renders the headers of one call.
    pub fn render_headers(
        &self,
        values: &Values<'_>,
        budget: Budget,
    ) -> Result<Vec<(String, String)>, Invalid> {
        render_headers(&self.headers, &mut Filling::new(values, budget))
    }
}
