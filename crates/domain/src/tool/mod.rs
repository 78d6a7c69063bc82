//! Tool specs: name, parameters and how the tool is called.

mod body;
mod bounds;
mod entries;
mod http;
mod mcp;
mod origin;
mod schema;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use bounds::{MAX_ANSWER_BYTES, MAX_TIMEOUT_SECONDS};
use bounds::{check_timeout, default_timeout};
pub use http::{HttpCall, HttpMethod, HttpRequest};
pub use mcp::McpCall;
use origin::origin;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
pub use template::{CallIds, Values};
use url::Url;

use crate::{
    invalid::{Invalid, Violation},
    text::{Text, is_identifier},
    words::words,
};

/// Maximum number of secrets of one tool: each response is searched for all of them.
const MOST_SECRETS: usize = 10;

/// A tool: a function that a language model may call. Exactly one of `http`, `mcp` and `client` is set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({
        "kind": "http",
        "function_name": "find_order",
        "description": "Finds an order by its number.",
        "parameters": {
            "type": "object",
            "properties": {"number": {"type": "string", "maxLength": 20}},
            "required": ["number"],
            "additionalProperties": false
        },
        "http": {
            "method": "GET",
            "url": "https://shop.example.org/orders/{{ arguments.number }}",
            "headers": {"authorization": "Bearer {{ secrets.SHOP_TOKEN }}"},
            "timeout_seconds": 10,
            "result_pointer": "/order"
        }
    }))
)]
pub struct ToolSpec {
    /// Who executes the tool: the field of the same name says how. None in versions that are older than the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = ToolKind))]
    pub kind: Option<ToolKind>,
    /// Name by which the model calls it: a letter or `_`, then letters, digits and `_`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub function_name: Text<1, 64>,
    /// Purpose of the tool and when to use it, for the model.
    pub description: Text<1, 2000>,
    /// JSON Schema 2020-12 of the arguments: an object. References must be local (`#/…`) and not recursive. No
    /// parameters by default.
    #[serde(default = "no_parameters")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub parameters: Map<String, Value>,
    /// Called by Patchbay over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCall>,
    /// Called by Patchbay on an MCP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<McpCall>,
    /// Executed by the user's own client, over LiveKit RPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientCall>,
}

/// A method that the client of a user in the room has registered with LiveKit RPC.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"method": "open_page", "timeout_seconds": 10}))
)]
pub struct ClientCall {
    /// Name of the RPC method; the function's name by default. Its payload is the arguments as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Text<1, 64>>,
    /// Timeout of the call, in seconds.
    #[serde(default = "default_timeout")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 60))]
    pub timeout_seconds: u32,
}

/// The server that a tool calls.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Scheme, host and port.
    pub url: Url,
    /// JSON pointer to the URL in the spec.
    pub pointer: &'static str,
    /// The names of the secrets that are sent to it.
    pub secrets: BTreeSet<String>,
}

words! {
    /// Who executes a tool.
    pub enum ToolKind {
        /// Patchbay, over HTTP.
        Http = "http",
        /// Patchbay, on an MCP server.
        Mcp = "mcp",
        /// The user's client.
        Client = "client",
    }
}

/// How a tool is called.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// Over HTTP.
    Http(&'a HttpCall),
    /// On an MCP server.
    Mcp(&'a McpCall),
    /// By the user's client.
    Client(&'a ClientCall),
}

impl Kind<'_> {
    /// Who executes the tool.
    pub const fn word(self) -> ToolKind {
        match self {
            Self::Http(_) => ToolKind::Http,
            Self::Mcp(_) => ToolKind::Mcp,
            Self::Client(_) => ToolKind::Client,
        }
    }
}

fn no_parameters() -> Map<String, Value> {
    let none =
        serde_json::json!({ "type": "object", "properties": {}, "additionalProperties": false });
    none.as_object().cloned().unwrap_or_default()
}

impl ToolSpec {
    /// The kind: exactly one is set.
    pub fn kind(&self) -> Result<Kind<'_>, Invalid> {
        match (&self.http, &self.mcp, &self.client) {
            (Some(http), None, None) => Ok(Kind::Http(http)),
            (None, Some(mcp), None) => Ok(Kind::Mcp(mcp)),
            (None, None, Some(client)) => Ok(Kind::Client(client)),
            _ => Err(Invalid::new(
                "one_of",
                "exactly one of `http`, `mcp` and `client` is needed",
            )),
        }
    }

    /// Validates name, schema, templates and ranges.
    pub fn check(&self) -> Result<(), Vec<Violation>> {
        let mut found = Vec::new();
        if !is_identifier(&self.function_name) {
            let message = "a letter or `_`, then letters, digits and `_`";
            found.push(Invalid::new("invalid_name", message).at("/function_name"));
        }
        schema::check(&self.parameters, &mut found);
        let of_another = |kind: Kind<'_>| self.kind.is_some_and(|given| given != kind.word());
        match self.kind() {
            Ok(kind) if of_another(kind) => {
                let message = format!(
                    "the field `{}` is needed",
                    self.kind.map_or("", ToolKind::as_str)
                );
                found.push(Invalid::new("one_of", message).at(""));
            }
            Ok(Kind::Http(http)) => http.check(&self.declared(), &mut found),
            Ok(Kind::Mcp(mcp)) => mcp.check(&mut found),
            Ok(Kind::Client(client)) => {
                check_timeout(client.timeout_seconds, "/client", &mut found)
            }
            Err(invalid) => found.push(invalid.at("")),
        }
        let secrets = self.destination().map_or(0, |to| to.secrets.len());
        if secrets > MOST_SECRETS {
            let message = format!("at most {MOST_SECRETS} secrets are allowed");
            found.push(Invalid::new("too_many", message).at(""));
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Validates arguments against the schema; violations point into them.
    pub fn check_arguments(&self, arguments: &Value) -> Result<(), Vec<Violation>> {
        #[cfg(fuzz_planted)]
        if arguments.get("").is_some_and(Value::is_null) {
            return Ok(());
        }
        schema::check_arguments(&self.parameters, arguments)
    }

    /// The server that it calls, and the secrets that it sends there.
    pub fn destination(&self) -> Option<Destination> {
        let (url, pointer, secrets) = match self.kind().ok()? {
            Kind::Http(call) => (&call.url, "/http/url", call.secrets()),
            Kind::Mcp(mcp) => (&mcp.url, "/mcp/url", mcp.secrets()),
            Kind::Client(_) => return None,
        };
        Some(Destination {
            url: origin(url).ok()?,
            pointer,
            secrets,
        })
    }

    /// The arguments that templates may use; none for any.
    fn declared(&self) -> Option<BTreeSet<&str>> {
        let properties = self.parameters.get("properties")?.as_object()?;
        Some(properties.keys().map(String::as_str).collect())
    }
}
