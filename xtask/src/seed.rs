//! What `dev` and `demo` create over HTTP.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// A caller of the api.
pub struct Client {
    base: String,
    key: String,
    agent: ureq::Agent,
}

impl Client {
    /// A caller with this key.
    pub fn new(base: &str, key: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(std::time::Duration::from_secs(30)))
            .build();
        Self {
            base: base.to_owned(),
            key: key.to_owned(),
            agent: config.into(),
        }
    }

    /// POSTs JSON and reads the answer, which must be a success.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let response = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .send_json(body)?;
        read(path, response)
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

/// A string in an answer.
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

/// Makes a tenant `slug` with an echo agent.
pub fn seed(base: &str, operator_key: &str, slug: &str) -> Result<Seeded> {
    let operator = Client::new(base, operator_key);
    let made = operator.post("/api/tenants", &json!({ "slug": slug, "name": "Demo" }))?;
    let tenant = text(&made, "/tenant/id")?.to_owned();
    let key = text(&made, "/admin_secret")?.to_owned();
    let client = Client::new(base, &key);
    let at = |rest: &str| format!("/api/tenants/{tenant}/{rest}");
    let prompt = client.post(&at("prompts"), &json!({ "name": "reception" }))?;
    let prompt = client.post(
        &at(&format!("prompts/{}/versions", text(&prompt, "/id")?)),
        &json!({ "spec": {
            "template": "You answer the phone of {{ company }}.",
            "variables": [{ "name": "company", "required": true }],
            "greeting": "Welcome to {{ company }}!",
        }, "note": "first version" }),
    )?;
    let config = client.post(&at("runtime-configs"), &json!({ "name": "echo" }))?;
    let config = client.post(
        &at(&format!(
            "runtime-configs/{}/versions",
            text(&config, "/id")?
        )),
        &json!({ "spec": {
            "kind": "echo",
            "greeting_tone": { "frequency_hz": 880, "duration_ms": 400 },
            "limits": { "max_duration_seconds": 600 },
        } }),
    )?;
    let agent = client.post(&at("agents"), &json!({ "name": "reception" }))?;
    let agent = text(&agent, "/id")?.to_owned();
    let binding = client.post(
        &at(&format!("agents/{agent}/bindings")),
        &json!({
            "prompt_version_id": text(&prompt, "/id")?,
            "runtime_config_version_id": text(&config, "/id")?,
        }),
    )?;
    let binding = text(&binding, "/id")?;
    client.post(
        &at(&format!("agents/{agent}/bindings/{binding}/activate")),
        &json!({}),
    )?;
    Ok(Seeded { tenant, key, agent })
}
