//! Resources of `dev` and `demo`, created over HTTP.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

/// An API client.
pub struct Client {
    base: String,
    key: String,
    agent: ureq::Agent,
}

/// A response of any status.
pub struct Response {
    /// Status.
    pub status: u16,
    /// Seconds in `Retry-After`, if present.
    pub retry_after: Option<u64>,
    /// Body.
    pub body: Value,
}

impl Client {
    /// A client with this key.
    pub fn new(base: &str, key: &str) -> Self {
        Self::configured(base, key, (10, Duration::from_secs(30)))
    }

    /// A client that opens a connection for each request, so that a balancer can give each to another process, and waits
    /// this long for a response.
    pub fn unpooled(base: &str, key: &str, timeout: Duration) -> Self {
        Self::configured(base, key, (0, timeout))
    }

    fn configured(base: &str, key: &str, (pooled, timeout): (usize, Duration)) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .max_idle_connections(pooled)
            .build();
        Self {
            base: base.to_owned(),
            key: key.to_owned(),
            agent: config.into(),
        }
    }

    /// POSTs JSON; the response must be a success.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let response = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .send_json(body)?;
        read(path, response)
    }

    /// POSTs JSON with an Idempotency-Key; returns any response.
    pub fn once(&self, path: &str, body: &Value, key: &str) -> Result<Response> {
        let response = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .header("idempotency-key", key)
            .send_json(body)?;
        Ok(of_any_status(response))
    }

    /// POSTs a file as bare bytes with an Idempotency-Key; returns any response.
    pub fn upload_once(
        &self,
        path: &str,
        bytes: impl ureq::AsSendBody,
        key: &str,
    ) -> Result<Response> {
        let response = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/octet-stream")
            .header("idempotency-key", key)
            .send(bytes)?;
        Ok(of_any_status(response))
    }

    /// PUTs JSON; the response must be a success.
    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        let response = self
            .agent
            .put(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .send_json(body)?;
        read(path, response)
    }

    /// PATCHes JSON; the response must be a success.
    pub fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        let response = self
            .agent
            .patch(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .send_json(body)?;
        read(path, response)
    }

    /// POSTs a file as bare bytes.
    pub fn upload(&self, path: &str, bytes: &[u8]) -> Result<Value> {
        let response = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/octet-stream")
            .send(bytes)?;
        read(path, response)
    }

    /// GETs JSON; returns any response.
    pub fn try_get(&self, path: &str) -> Result<Response> {
        let response = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .call()?;
        Ok(of_any_status(response))
    }

    /// DELETEs; the response must be a success.
    pub fn delete(&self, path: &str) -> Result<()> {
        let response = self
            .agent
            .delete(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .call()?;
        read(path, response).map(drop)
    }

    /// GETs bytes.
    pub fn download(&self, path: &str) -> Result<Vec<u8>> {
        let mut response = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .call()?;
        let status = response.status();
        ensure!(status.is_success(), "{path}: {status}");
        Ok(response.body_mut().read_to_vec()?)
    }

    /// GETs JSON.
    pub fn get(&self, path: &str) -> Result<Value> {
        let response = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .call()?;
        read(path, response)
    }
}

fn of_any_status(mut response: ureq::http::Response<ureq::Body>) -> Response {
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    Response {
        status: response.status().as_u16(),
        retry_after,
        body: response.body_mut().read_json().unwrap_or_default(),
    }
}

fn read(path: &str, mut response: ureq::http::Response<ureq::Body>) -> Result<Value> {
    let status = response.status();
    let body: Value = response.body_mut().read_json().unwrap_or_default();
    if !status.is_success() {
        bail!(
            "{path}: {status}: {}",
            body["detail"].as_str().unwrap_or_default()
        );
    }
    Ok(body)
}

/// A string in a response.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("no {pointer} in {value}"))
}

/// A tenant with an agent that is ready to run.
pub struct Seeded {
    /// The tenant.
    pub tenant: String,
    /// Its admin key.
    pub key: String,
    /// The agent.
    pub agent: String,
}

/// A tenant with an agent of the kind `echo`.
pub fn seed(base: &str, operator_key: &str, slug: &str) -> Result<Seeded> {
    let operator = Client::new(base, operator_key);
    let made = operator.post("/api/tenants", &json!({ "slug": slug, "name": "Demo" }))?;
    let tenant = text(&made, "/tenant/id")?.to_owned();
    let key = text(&made, "/secret")?.to_owned();
    let client = Client::new(base, &key);
    let runtime = json!({
        "kind": "echo",
        "greeting_tone": { "frequency_hz": 880, "duration_ms": 400 },
        "limits": { "max_duration_seconds": 600 },
    });
    let agent = agent(&client, &tenant, "reception", &runtime, &[], &Value::Null)?;
    Ok(Seeded { tenant, key, agent })
}

/// An agent with a prompt, this runtime config, these tool versions and these knowledge settings, with an active
/// binding.
pub fn agent(
    client: &Client,
    tenant: &str,
    name: &str,
    runtime: &Value,
    tools: &[&str],
    knowledge: &Value,
) -> Result<String> {
    let at = |rest: &str| format!("/api/tenants/{tenant}/{rest}");
    let prompt = json!({
        "template": "You answer the phone of {{ company }}.",
        "variables": [{ "name": "company", "required": true }],
        "greeting": "Welcome to {{ company }}!",
    });
    let prompt = version(client, &at("prompts"), name, &prompt)?;
    let config = version(client, &at("runtime-configs"), name, runtime)?;
    let agent = client.post(&at("agents"), &json!({ "name": name }))?;
    let agent = text(&agent, "/id")?.to_owned();
    let binding = json!({
        "prompt_version_id": prompt, "runtime_config_version_id": config, "tool_version_ids": tools,
        "knowledge": knowledge,
    });
    let path = at(&format!("agents/{agent}/bindings"));
    let binding = client.post(&path, &binding)?;
    let binding = text(&binding, "/id")?;
    client.post(&format!("{path}/{binding}/activate"), &json!({}))?;
    Ok(agent)
}

/// Creates a prompt, tool or runtime config with its first version; returns the version's id.
pub fn version(client: &Client, path: &str, name: &str, spec: &Value) -> Result<String> {
    let artifact = client.post(path, &json!({ "name": name }))?;
    let path = format!("{path}/{}/versions", text(&artifact, "/id")?);
    let version = client.post(&path, &json!({ "spec": spec }))?;
    Ok(text(&version, "/id")?.to_owned())
}
