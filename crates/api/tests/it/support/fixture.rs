//! A tenant with everything that a session needs.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{Client, OPERATOR_KEY};

/// A tenant, its admin, and an agent with an active binding.
pub struct Fixture {
    pub base: String,
    pub key: String,
    pub tenant: String,
    pub slug: String,
    pub admin: Client,
    pub agent: String,
    pub prompt: String,
    pub prompt_version: String,
    pub config: String,
    pub config_version: String,
    pub tool: String,
    pub tool_version: String,
    pub binding: String,
    made: AtomicUsize,
}

pub fn id(value: &Value) -> String {
    value["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id in {value}"))
        .to_owned()
}

impl Fixture {
    pub async fn make(base: &str, slug: &str) -> Self {
        let operator = Client::new(base, Some(OPERATOR_KEY));
        let body = json!({ "slug": slug, "name": slug });
        let made = operator.post("/api/tenants", &body).await.expect(201);
        let tenant = id(&made["tenant"]);
        let admin = Client::new(base, made["secret"].as_str());
        let at = |rest: &str| format!("/api/tenants/{tenant}/{rest}");
        let prompt = id(&admin
            .post(&at("prompts"), &json!({ "name": "p" }))
            .await
            .expect(201));
        let spec = json!({ "spec": {
            "template": "You answer for {{ company }}.",
            "variables": [{ "name": "company", "required": true }],
        } });
        let versions = at(&format!("prompts/{prompt}/versions"));
        let prompt_version = id(&admin.post(&versions, &spec).await.expect(201));
        let named = json!({ "name": "c" });
        let config = id(&admin.post(&at("runtime-configs"), &named).await.expect(201));
        let spec = json!({ "spec": { "kind": "echo" } });
        let versions = at(&format!("runtime-configs/{config}/versions"));
        let config_version = id(&admin.post(&versions, &spec).await.expect(201));
        let tool = id(&admin
            .post(&at("tools"), &json!({ "name": "t" }))
            .await
            .expect(201));
        let spec = json!({ "spec": {
            "kind": "client", "function_name": "open_page", "description": "Opens a page.", "client": {},
        } });
        let versions = at(&format!("tools/{tool}/versions"));
        let tool_version = id(&admin.post(&versions, &spec).await.expect(201));
        let agent = id(&admin
            .post(&at("agents"), &json!({ "name": "a" }))
            .await
            .expect(201));
        let fixture = Self {
            base: base.to_owned(),
            key: made["secret"].as_str().unwrap().to_owned(),
            tenant: tenant.clone(),
            slug: slug.to_owned(),
            admin,
            agent,
            prompt,
            prompt_version,
            config,
            config_version,
            tool,
            tool_version,
            binding: String::new(),
            made: AtomicUsize::new(0),
        };
        let binding = fixture.bind().await;
        fixture.activate(&binding).await;
        Self { binding, ..fixture }
    }

    /// A number that is unique within the fixture.
    pub fn next(&self) -> usize {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    /// A path under the tenant.
    pub fn at(&self, rest: &str) -> String {
        format!("/api/tenants/{}/{rest}", self.tenant)
    }

    /// Creates a tool with this spec; returns its version.
    pub async fn tool(&self, spec: Value) -> String {
        let body = json!({ "name": spec["function_name"] });
        let tool = id(&self.admin.post(&self.at("tools"), &body).await.expect(201));
        let path = self.at(&format!("tools/{tool}/versions"));
        let body = json!({ "spec": spec });
        id(&self.admin.post(&path, &body).await.expect(201))
    }

    /// Creates a trunk to a carrier on the internet.
    pub async fn trunk(&self) -> String {
        let body = serde_json::json!({
            "name": "carrier", "address": "sip.example.org", "numbers": ["+4930654321"],
        });
        let path = self.at("sip-trunks");
        id(&self.admin.post(&path, &body).await.expect(201))
    }

    /// Assigns a number and creates its mapping.
    pub async fn mapping(&self, number: &str) -> String {
        let operator = Client::new(&self.base, Some(OPERATOR_KEY));
        let path = self.at(&format!("numbers/{number}"));
        let assigned = operator.send(reqwest::Method::PUT, &path, None).await;
        assigned.expect(200);
        let body = json!({
            "number": number, "agent_id": self.agent, "variables": { "company": "Acme" },
            "allowed_addresses": ["203.0.113.0/24"],
        });
        let path = self.at("inbound-mappings");
        id(&self.admin.post(&path, &body).await.expect(201))
    }

    /// Creates another binding of the agent.
    pub async fn bind(&self) -> String {
        self.bind_tools(&[&self.tool_version]).await
    }

    /// Creates another binding of the agent, with these tool versions.
    pub async fn bind_tools(&self, tools: &[&str]) -> String {
        let path = self.at(&format!("agents/{}/bindings", self.agent));
        let body = json!({
            "prompt_version_id": self.prompt_version,
            "runtime_config_version_id": self.config_version,
            "tool_version_ids": tools,
        });
        id(&self.admin.post(&path, &body).await.expect(201))
    }

    pub async fn activate(&self, binding: &str) {
        let path = self.at(&format!(
            "agents/{}/bindings/{binding}/activate",
            self.agent
        ));
        self.admin.act(&path).await.expect(200);
    }

    /// Creates a session, started or not.
    pub async fn session(&self, start: bool) -> Value {
        let body = json!({
            "agent_id": self.agent, "variables": { "company": "Acme" }, "start": start,
        });
        self.admin
            .post(&self.at("sessions"), &body)
            .await
            .expect(201)
    }

    /// The agent runs of the session, newest first.
    pub async fn runs(&self, session: &Value) -> Vec<Value> {
        let path = self.at(&format!("sessions/{}/agent-runs", id(session)));
        let page = self.admin.get(&path).await.expect(200);
        page["data"].as_array().unwrap().clone()
    }

    /// The current state of the session.
    pub async fn read(&self, session: &Value) -> Value {
        let path = self.at(&format!("sessions/{}", id(session)));
        self.admin.get(&path).await.expect(200)
    }
}
