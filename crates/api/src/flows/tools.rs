//! Calling tools on a worker's behalf, so that secrets never leave this process.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use patchbay_domain::{
    Invalid, Violation,
    tool::{CallIds, HttpCall, HttpRequest, Kind, McpCall, ToolSpec, Values},
};
use patchbay_outbound::{Answer, Error, McpAnswer, Request};
use patchbay_persistence::{TenantTx, secrets};
use serde_json::Value;
use tokio::time::Instant;

use crate::{app::App, error::Result, keyring::Sealed, timeline::CallStatus};

/// What stands where an answer has told a secret.
const HIDDEN: &str = "[secret]";

/// A call with everything that it takes.
pub struct Prepared {
    spec: ToolSpec,
    arguments: Value,
    ids: CallIds,
    secrets: std::result::Result<BTreeMap<String, String>, Invalid>,
}

/// How a call went.
pub struct Outcome {
    /// What the model is told; null where there is nothing to tell.
    pub result: Value,
    /// Why it failed.
    pub error: Option<Invalid>,
    /// Status of the HTTP answer.
    pub http_status: Option<u16>,
    duration: Duration,
    /// The answer's body, without secrets.
    pub answer: Bytes,
}

/// Checks where a version would call, and that its secrets may go there; answers them, sealed.
pub async fn admit(
    app: &App,
    tx: &mut TenantTx,
    spec: &ToolSpec,
) -> Result<std::result::Result<Vec<secrets::Secret>, Violation>> {
    let Some((url, names)) = spec.destination() else {
        return Ok(Ok(Vec::new()));
    };
    let pointer = if spec.http.is_some() {
        "/http/url"
    } else {
        "/mcp/url"
    };
    if let Err(refused) = app.policy.check_url(url.as_str()) {
        let invalid = Invalid::new("address_refused", refused.to_string());
        return Ok(Err(invalid.at(pointer)));
    }
    if names.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let known = secrets::find_named(tx, &names).await?;
    let host = url.host_str().unwrap_or_default();
    let fault = |name: &String| match known.iter().find(|secret| secret.name == *name) {
        None => Some(Invalid::new(
            "unknown_secret",
            format!("there is no secret `{name}`"),
        )),
        Some(secret) if secret.hosts.iter().any(|allowed| allowed == host) => None,
        Some(_) => Some(Invalid::new(
            "secret_not_for_host",
            format!("the secret `{name}` may not be sent to `{host}`"),
        )),
    };
    let fault = names.iter().find_map(fault);
    Ok(fault.map_or(Ok(known), |invalid| Err(invalid.at(pointer))))
}

impl Prepared {
    /// Opens the secrets that the call needs. One that has gone, or may no longer go there, is an
    /// outcome, not an error of the request.
    pub async fn new(
        app: &App,
        tx: &mut TenantTx,
        spec: ToolSpec,
        arguments: Value,
        ids: CallIds,
    ) -> Result<Self> {
        let secrets = match admit(app, tx, &spec).await? {
            Ok(sealed) => Ok(open(app, sealed)?),
            Err(fault) => Err(Invalid::new(&fault.code, fault.message)),
        };
        Ok(Self {
            spec,
            arguments,
            ids,
            secrets,
        })
    }

    /// Most time that the call may take.
    pub fn timeout(&self) -> Duration {
        let seconds = match self.spec.kind() {
            Ok(Kind::Http(call)) => call.timeout_seconds,
            Ok(Kind::Mcp(call)) => call.timeout_seconds,
            Ok(Kind::Client(_)) | Err(_) => 0,
        };
        Duration::from_secs(seconds.into())
    }

    /// Makes the call.
    pub async fn carry_out(&self, app: &App) -> Outcome {
        let started = Instant::now();
        let attempt = match &self.secrets {
            Ok(secrets) => {
                let attempt = self.attempt(app, secrets).await;
                attempt.map_err(|error| hidden(error, secrets))
            }
            Err(error) => Err(error.clone()),
        };
        let mut outcome = attempt.unwrap_or_else(Outcome::failed);
        outcome.duration = started.elapsed();
        outcome
    }

    async fn attempt(
        &self,
        app: &App,
        secrets: &BTreeMap<String, String>,
    ) -> std::result::Result<Outcome, Invalid> {
        let values = Values {
            arguments: &self.arguments,
            secrets,
            call: &self.ids,
        };
        match self.spec.kind()? {
            Kind::Http(call) => {
                let request =
                    request(call.render(&values)?, self.timeout(), call.max_answer_bytes)?;
                let answer = app.outbound.call(request).await.map_err(failure)?;
                Ok(conclude(call, answer, secrets))
            }
            Kind::Mcp(call) => {
                let answer = app.outbound.call_mcp(self.mcp(call, &values)?).await;
                conclude_mcp(answer.map_err(failure)?, secrets)
            }
            Kind::Client(_) => Err(Invalid::new(
                "not_callable",
                "the client of a person carries it out",
            )),
        }
    }

    fn mcp(
        &self,
        call: &McpCall,
        values: &Values<'_>,
    ) -> std::result::Result<patchbay_outbound::McpCall, Invalid> {
        Ok(patchbay_outbound::McpCall {
            url: call.url.to_string(),
            headers: header_map(call.render_headers(values)?)?,
            tool: call.tool_name.to_string(),
            arguments: self.arguments.as_object().cloned().unwrap_or_default(),
            timeout: self.timeout(),
            max_bytes: call.max_answer_bytes as usize,
        })
    }
}

fn conclude_mcp(
    answer: McpAnswer,
    secrets: &BTreeMap<String, String>,
) -> std::result::Result<Outcome, Invalid> {
    let told = answer.result.to_string();
    let told = without_secrets(told.into(), secrets);
    let result = serde_json::from_slice(&told);
    let result = result.map_err(|error| Invalid::new("mcp_error", error.to_string()))?;
    let failed = || Invalid::new("tool_error", "the tool reports an error");
    Ok(Outcome {
        result,
        error: answer.is_error.then(failed),
        http_status: None,
        duration: Duration::ZERO,
        answer: told,
    })
}

impl Outcome {
    fn failed(error: Invalid) -> Self {
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

fn open(app: &App, sealed: Vec<secrets::Secret>) -> Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for secret in sealed {
        let sealed = Sealed {
            key: secret.sealing_key,
            nonce: secret.nonce,
            sealed: secret.sealed,
        };
        let value = app.keyring.open(secret.tenant_id, &secret.name, &sealed)?;
        values.insert(secret.name, value);
    }
    Ok(values)
}

fn request(
    rendered: HttpRequest,
    timeout: Duration,
    max_bytes: u32,
) -> std::result::Result<Request, Invalid> {
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
fn header_map(headers: Vec<(String, String)>) -> std::result::Result<HeaderMap, Invalid> {
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

/// Why there is no answer, as a code for the worker.
fn failure(error: Error) -> Invalid {
    let code = match &error {
        Error::Refused(_) => "address_refused",
        Error::Timeout(_) => "timeout",
        Error::TooLarge(_) => "answer_too_large",
        Error::Failed(_) => "unreachable",
        Error::TooManyRedirects | Error::ForeignRedirect => "redirect_refused",
        Error::Encoded(_) => "answer_encoded",
        Error::Mcp(_) => "mcp_error",
    };
    Invalid::new(code, error.to_string())
}

fn conclude(call: &HttpCall, answer: Answer, secrets: &BTreeMap<String, String>) -> Outcome {
    let body = without_secrets(answer.body, secrets);
    let status = answer.status.as_u16();
    let (result, error) = if answer.status.is_success() {
        match call.result(&body) {
            Ok(result) => (result, None),
            Err(error) => (Value::Null, Some(error)),
        }
    } else {
        let told = serde_json::from_slice(&body);
        let told = told.unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        let error = Invalid::new("http_status", format!("the tool answered {status}"));
        (told, Some(error))
    };
    Outcome {
        result,
        error,
        http_status: Some(status),
        duration: Duration::ZERO,
        answer: body,
    }
}

/// A tool that answers what it was sent must not tell the model our secrets.
fn without_secrets(body: Bytes, secrets: &BTreeMap<String, String>) -> Bytes {
    let text = String::from_utf8_lossy(&body);
    let forms: Vec<_> = secrets.values().flat_map(|secret| forms(secret)).collect();
    if !forms.iter().any(|form| text.contains(form)) {
        return body;
    }
    let text = text.into_owned();
    let hidden = forms
        .iter()
        .fold(text, |text, form| text.replace(form, HIDDEN));
    hidden.into()
}

/// The same for the words of a failure, which may be the tool's own.
fn hidden(mut error: Invalid, secrets: &BTreeMap<String, String>) -> Invalid {
    let words = without_secrets(error.message.into(), secrets);
    error.message = String::from_utf8_lossy(&words).into_owned();
    error
}

/// How a secret may be spelled in an answer: as it is, in JSON, or in a URL.
fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap_or_default();
    let json = json.trim_matches('"').to_owned();
    let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut forms = vec![
        json.replace('/', "\\/"),
        json,
        url.replace('+', "%20"),
        url,
        secret.to_owned(),
    ];
    forms.retain(|form| !form.is_empty());
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_however_it_is_spelled() {
        let secrets = BTreeMap::from([("S".to_owned(), "a\"b/c d\\".to_owned())]);
        for told in [
            r#"it is a"b/c d\"#,
            r#"{"t": "Bearer a\"b/c d\\"}"#,
            r#"{"t": "a\"b\/c d\\"}"#,
            "/x?y=a%22b%2Fc%20d%5C",
            "y=a%22b%2Fc+d%5C",
        ] {
            let told = without_secrets(told.into(), &secrets);
            let told = String::from_utf8(told.to_vec()).unwrap();
            assert!(told.contains(HIDDEN), "{told}");
            assert!(!told.contains("b/c") && !told.contains("%2Fc"), "{told}");
        }
        let other = Bytes::from_static(b"nothing of it");
        assert_eq!(without_secrets(other.clone(), &secrets), other);
    }
}
