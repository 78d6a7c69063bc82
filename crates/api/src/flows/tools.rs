//! Calling tools on a worker's behalf, so that secrets never leave this process.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use patchbay_domain::{
    Invalid, TenantId, Violation,
    template::Budget,
    tool::{CallIds, Destination, HttpRequest, Kind, ToolSpec, Values},
};
use patchbay_outbound::{Answer, Error, McpAnswer, Request};
use patchbay_persistence::{TenantTx, secrets};
use serde_json::Value;
use tokio::time::Instant;

use super::{masking::Secrets, sync::crash_here};
use crate::{app::App, error::Result, keyring::Sealed, timeline::CallStatus};

/// A tool, and arguments that its schema allows.
pub struct Checked {
    /// The tool.
    pub spec: ToolSpec,
    /// Where it calls.
    pub destination: Option<Destination>,
    /// The arguments.
    pub arguments: Value,
}

/// A call with everything that it takes.
pub struct Prepared {
    tenant: TenantId,
    call: Arc<Call>,
    secrets: std::result::Result<BTreeMap<String, String>, Invalid>,
}

/// What is called, and with what.
struct Call {
    spec: ToolSpec,
    arguments: Value,
    ids: CallIds,
}

/// A request, ready to be sent.
enum Ready {
    Http(Request),
    Mcp(patchbay_outbound::McpCall),
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
    destination: Option<&Destination>,
) -> Result<std::result::Result<Vec<secrets::Secret>, Violation>> {
    let Some(Destination {
        url,
        pointer,
        secrets: names,
    }) = destination
    else {
        return Ok(Ok(Vec::new()));
    };
    let pointer = *pointer;
    if let Err(refused) = app.policy.check_url(url.as_str()) {
        let invalid = Invalid::new("address_refused", refused.to_string());
        return Ok(Err(invalid.at(pointer)));
    }
    if names.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let known = secrets::find_named(tx, names).await?;
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
    pub async fn new(app: &App, tx: &mut TenantTx, checked: Checked, ids: CallIds) -> Result<Self> {
        let Checked {
            spec,
            destination,
            arguments,
        } = checked;
        let secrets = match admit(app, tx, destination.as_ref()).await? {
            Ok(sealed) => Ok(open(app, sealed)?),
            Err(fault) => Err(Invalid::new(&fault.code, fault.message)),
        };
        let call = Call {
            spec,
            arguments,
            ids,
        };
        Ok(Self {
            tenant: tx.tenant(),
            call: Arc::new(call),
            secrets,
        })
    }

    /// Most time that the call may take.
    pub fn timeout(&self) -> Duration {
        self.call.timeout()
    }

    /// Makes the call.
    pub async fn carry_out(&self, app: &App) -> Outcome {
        let started = Instant::now();
        crash_here(app, "in_tool_call");
        let attempt = match &self.secrets {
            Ok(secrets) => self.attempt(app, secrets.clone()).await,
            Err(error) => Err(error.clone()),
        };
        let mut outcome = attempt.unwrap_or_else(Outcome::failed);
        outcome.duration = started.elapsed();
        outcome
    }

    async fn attempt(
        &self,
        app: &App,
        secrets: BTreeMap<String, String>,
    ) -> std::result::Result<Outcome, Invalid> {
        let call = Arc::clone(&self.call);
        let ready = self.compute(app, move |deadline| {
            let secrets = Secrets::new(secrets)?;
            Ok((call.ready(&secrets, deadline)?, Arc::new(secrets)))
        });
        let (ready, secrets) = ready.await?;
        let (call, known) = (Arc::clone(&self.call), Arc::clone(&secrets));
        let failed = |error| secrets.hide_in(failure(error));
        match ready {
            Ready::Http(request) => {
                let answer = app.outbound.call(request).await.map_err(failed)?;
                self.compute(app, move |_| call.conclude(answer, &known))
                    .await
            }
            Ready::Mcp(request) => {
                let answer = app.outbound.call_mcp(request).await.map_err(failed)?;
                self.compute(app, move |_| conclude_mcp(answer, &known))
                    .await
            }
        }
    }

    async fn compute<T: Send + 'static>(
        &self,
        app: &App,
        work: impl FnOnce(std::time::Instant) -> std::result::Result<T, Invalid> + Send + 'static,
    ) -> std::result::Result<T, Invalid> {
        let worked = app.compute.run(Some(self.tenant), work).await;
        worked.map_err(|error| Invalid::new("overloaded", error.to_string()))?
    }
}

impl Call {
    fn timeout(&self) -> Duration {
        let seconds = match self.spec.kind() {
            Ok(Kind::Http(call)) => call.timeout_seconds,
            Ok(Kind::Mcp(call)) => call.timeout_seconds,
            Ok(Kind::Client(_)) | Err(_) => 0,
        };
        Duration::from_secs(seconds.into())
    }

    /// The request with its templates filled in.
    fn ready(
        &self,
        secrets: &Secrets,
        deadline: std::time::Instant,
    ) -> std::result::Result<Ready, Invalid> {
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
            Kind::Mcp(call) => Ok(Ready::Mcp(patchbay_outbound::McpCall {
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

    fn conclude(&self, answer: Answer, secrets: &Secrets) -> std::result::Result<Outcome, Invalid> {
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
            let told = serde_json::from_slice(&body);
            let told = told.unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
            let error = Invalid::new("http_status", format!("the tool answered {status}"));
            (told, Some(error))
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

fn conclude_mcp(answer: McpAnswer, secrets: &Secrets) -> std::result::Result<Outcome, Invalid> {
    let mut result = answer.result;
    secrets.hide_within(&mut result);
    let told = result.to_string();
    let failed = || Invalid::new("tool_error", "the tool reports an error");
    Ok(Outcome {
        result,
        error: answer.is_error.then(failed),
        http_status: None,
        duration: Duration::ZERO,
        answer: told.into(),
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
