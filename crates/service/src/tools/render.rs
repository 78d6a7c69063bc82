//! Requests of tool calls, rendered from their templates, and outcomes of their responses.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use patchbay_domain::{
    Invalid,
    template::Budget,
    tool::{CallIds, HttpRequest, Kind, ToolSpec, Values},
};
use patchbay_outbound::{HttpResponse, McpCall, McpResponse, Request};
use serde_json::Value;

use super::{masking::Secrets, outcome::Outcome};
use crate::trace::{self, TRACEPARENT};

/// A tool call before it is rendered.
pub(super) struct Call {
    /// The tool.
    pub spec: ToolSpec,
    /// The arguments.
    pub arguments: Value,
    /// Ids of the call, its session and its run.
    pub ids: CallIds,
}

impl Call {
    /// What calls the tool.
    pub fn kind(&self) -> &'static str {
        self.spec.kind().map_or("", |kind| kind.word().as_str())
    }

    /// Maximum duration of the call.
    pub fn timeout(&self) -> Duration {
        let seconds = match self.spec.kind() {
            Ok(Kind::Http(call)) => call.timeout_seconds,
            Ok(Kind::Mcp(call)) => call.timeout_seconds,
            Ok(Kind::Client(_)) | Err(_) => 0,
        };
        Duration::from_secs(seconds.into())
    }

    /// Renders the request.
    pub fn render(
        &self,
        secrets: &Secrets,
        deadline: std::time::Instant,
    ) -> Result<ToolRequest, Invalid> {
        let values = Values {
            arguments: &self.arguments,
            secrets: secrets.values(),
            call: &self.ids,
        };
        let budget = Budget::until(Some(deadline));
        match self.spec.kind()? {
            Kind::Http(call) => {
                let rendered = call.render(&values, budget)?;
                let request = http_request(rendered, self.timeout(), call.max_answer_bytes)?;
                Ok(ToolRequest::Http(request))
            }
            Kind::Mcp(call) => Ok(ToolRequest::Mcp(McpCall {
                url: call.url.to_string(),
                headers: header_map(call.render_headers(&values, budget)?)?,
                tool: call.tool_name.to_string(),
                arguments: self.arguments.as_object().cloned().unwrap_or_default(),
                timeout: self.timeout(),
                max_bytes: call.max_answer_bytes as usize,
            })),
            Kind::Client(_) => Err(Invalid::new(
                "not_callable",
                "the client of a participant calls the tool",
            )),
        }
    }

    /// Outcome of an HTTP response.
    pub fn http_outcome(
        &self,
        response: HttpResponse,
        secrets: &Secrets,
    ) -> Result<Outcome, Invalid> {
        let body = secrets.mask(response.body);
        let status = response.status.as_u16();
        let (mut result, error) = if response.status.is_success() {
            let Kind::Http(call) = self.spec.kind()? else {
                return Err(Invalid::new(
                    "not_callable",
                    "the tool is not called over HTTP",
                ));
            };
            match call.result(&body) {
                Ok(result) => (result, None),
                Err(error) => (Value::Null, Some(error)),
            }
        } else {
            let parsed = serde_json::from_slice(&body);
            let parsed = parsed.unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
            let error = Invalid::new(
                "http_status",
                format!("the tool responded with status {status}"),
            );
            (parsed, Some(error))
        };
        // Escapes in JSON can spell a secret in ways that only the parser undoes.
        secrets.mask_value(&mut result);
        Ok(Outcome {
            result,
            error,
            http_status: Some(status),
            duration: Duration::ZERO,
            body,
        })
    }
}

/// Outcome of an MCP response.
pub(super) fn mcp_outcome(response: McpResponse, secrets: &Secrets) -> Result<Outcome, Invalid> {
    let mut result = response.result;
    secrets.mask_value(&mut result);
    let text = result.to_string();
    let error = || Invalid::new("tool_error", "the tool reports an error");
    Ok(Outcome {
        result,
        error: response.is_error.then(error),
        http_status: None,
        duration: Duration::ZERO,
        body: text.into(),
    })
}

/// A rendered request.
pub(super) enum ToolRequest {
    /// Over HTTP.
    Http(Request),
    /// Over MCP.
    Mcp(McpCall),
}

impl ToolRequest {
    /// Makes it a part of the trace at hand, unless the tool has such a header of its own.
    pub fn continue_trace(&mut self) {
        let headers = match self {
            Self::Http(request) => &mut request.headers,
            Self::Mcp(call) => &mut call.headers,
        };
        if let Some(Ok(value)) = trace::current().map(HeaderValue::try_from) {
            headers.entry(TRACEPARENT).or_insert(value);
        }
    }
}

fn http_request(
    rendered: HttpRequest,
    timeout: Duration,
    max_bytes: u32,
) -> Result<Request, Invalid> {
    let HttpRequest {
        method,
        url,
        headers,
        body,
    } = rendered;
    Ok(Request {
        method: Method::from_bytes(method.as_bytes())
            .map_err(|_| Invalid::new("invalid_method", "not an HTTP method"))?,
        url,
        headers: header_map(headers)?,
        body: body.into(),
        timeout,
        max_bytes: max_bytes as usize,
    })
}

/// Converts headers for sending. Of equal names the last one counts.
fn header_map(headers: Vec<(String, String)>) -> Result<HeaderMap, Invalid> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let invalid = || {
            Invalid::new(
                "invalid_header",
                format!("the header `{name}` cannot be sent"),
            )
        };
        let key: HeaderName = name.parse().map_err(|_| invalid())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid())?;
        map.insert(key, value);
    }
    Ok(map)
}
