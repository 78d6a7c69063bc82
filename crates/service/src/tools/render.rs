//! A call's request, made of its templates, and what its answer means.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use patchbay_domain::{
    Invalid,
    template::Budget,
    tool::{CallIds, HttpRequest, Kind, ToolSpec, Values},
};
use patchbay_outbound::{HttpAnswer, McpAnswer, McpCall, Request};
use serde_json::Value;

use super::{masking::Secrets, outcome::Outcome};

/// What is called, and with what.
pub(super) struct Call {
    /// The tool.
    pub spec: ToolSpec,
    /// The arguments.
    pub arguments: Value,
    /// Ids of the call and of what it belongs to.
    pub ids: CallIds,
}

impl Call {
    /// Longest time of the call.
    pub fn timeout(&self) -> Duration {
        let seconds = match self.spec.kind() {
            Ok(Kind::Http(call)) => call.timeout_seconds,
            Ok(Kind::Mcp(call)) => call.timeout_seconds,
            Ok(Kind::Client(_)) | Err(_) => 0,
        };
        Duration::from_secs(seconds.into())
    }

    /// The request with its templates filled in.
    pub fn ready(&self, secrets: &Secrets, deadline: std::time::Instant) -> Result<Ready, Invalid> {
        let values = Values {
            arguments: &self.arguments,
            secrets: secrets.values(),
            call: &self.ids,
        };
        let budget = Budget::until(Some(deadline));
        match self.spec.kind()? {
            Kind::Http(call) => {
                let rendered = call.render(&values, budget)?;
                let request = request(rendered, self.timeout(), call.max_answer_bytes)?;
                Ok(Ready::Http(request))
            }
            Kind::Mcp(call) => Ok(Ready::Mcp(McpCall {
                url: call.url.to_string(),
                headers: header_map(call.render_headers(&values, budget)?)?,
                tool: call.tool_name.to_string(),
                arguments: self.arguments.as_object().cloned().unwrap_or_default(),
                timeout: self.timeout(),
                max_bytes: call.max_answer_bytes as usize,
            })),
            Kind::Client(_) => Err(Invalid::new(
                "not_callable",
                "the client of a person carries it out",
            )),
        }
    }

    /// What an answer over HTTP means.
    pub fn conclude(&self, answer: HttpAnswer, secrets: &Secrets) -> Result<Outcome, Invalid> {
        let body = secrets.hide(answer.body);
        let status = answer.status.as_u16();
        let (mut result, error) = if answer.status.is_success() {
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
            let error = Invalid::new("http_status", format!("the tool answered {status}"));
            (parsed, Some(error))
        };
        // JSON can spell a text in ways that only its parser undoes.
        secrets.hide_within(&mut result);
        Ok(Outcome {
            result,
            error,
            http_status: Some(status),
            duration: Duration::ZERO,
            answer: body,
        })
    }
}

/// What an answer over MCP means.
pub(super) fn conclude_mcp(answer: McpAnswer, secrets: &Secrets) -> Result<Outcome, Invalid> {
    let mut result = answer.result;
    secrets.hide_within(&mut result);
    let text = result.to_string();
    let failed = || Invalid::new("tool_error", "the tool reports an error");
    Ok(Outcome {
        result,
        error: answer.is_error.then(failed),
        http_status: None,
        duration: Duration::ZERO,
        answer: text.into(),
    })
}

/// A request, ready to be sent.
pub(super) enum Ready {
    /// Over HTTP.
    Http(Request),
    /// Over MCP.
    Mcp(McpCall),
}

fn request(rendered: HttpRequest, timeout: Duration, max_bytes: u32) -> Result<Request, Invalid> {
    let HttpRequest {
        method,
        url,
        headers,
        body,
    } = rendered;
    Ok(Request {
        method: Method::from_bytes(method.as_bytes())
            .map_err(|error| Invalid::new("invalid_method", error.to_string()))?,
        url,
        headers: header_map(headers)?,
        body: body.into(),
        timeout,
        max_bytes: max_bytes as usize,
    })
}

/// Headers as they go out.
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
