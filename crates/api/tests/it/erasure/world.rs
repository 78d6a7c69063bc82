//! The service as a process with everything that it connects to; spelling and repetition of requests.

use std::path::PathBuf;

use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{
    calls::trunk,
    support::{
        Client, FakeLiveKit, Fixture, Process, Response, Upstream, WORKER_KEY, arguments,
        environment, eventually, free_port, id, in_schema, make_schema, sign,
    },
};

/// Occurs in every name, text and value of the person.
pub const WORD: &str = "qzadamark";
/// The person's numbers, inbound and outbound.
pub const CALLER: &str = "+493077007788";
pub const CALLEE: &str = "+493077007799";

/// Spellings of ids in paths.
#[derive(Clone, Copy, Debug)]
pub enum Spelling {
    Ours,
    Capitals,
    NoDashes,
    Braces,
    Urn,
    Encoded,
}

/// A path with its ids spelled like this.
pub fn spelled(path: &str, spelling: Spelling) -> String {
    let (path, query) = path
        .split_once('?')
        .map_or((path, ""), |(path, query)| (path, query));
    let segment = |segment: &str| {
        let Ok(id) = segment.parse::<Uuid>() else {
            return segment.to_owned();
        };
        match spelling {
            Spelling::Ours => segment.to_owned(),
            Spelling::Capitals => segment.to_uppercase(),
            Spelling::NoDashes => id.simple().to_string(),
            Spelling::Braces => format!("%7B{id}%7D"),
            Spelling::Urn => id.urn().to_string(),
            Spelling::Encoded => format!("%3{}{}", &segment[..1], &segment[1..]),
        }
    };
    let path: Vec<_> = path.split('/').map(segment).collect();
    match query {
        "" => path.join("/"),
        query => format!("{}?{query}", path.join("/")),
    }
}

/// A request with an Idempotency-Key.
#[derive(Clone)]
pub struct Keyed {
    pub key: String,
    pub path: String,
    pub body: Option<Vec<u8>>,
}

impl Keyed {
    /// A POST whose key contains the person's name; the path has its final spelling.
    pub(super) fn new(key: &str, path: String, body: &Value) -> Self {
        let body = (!body.is_null()).then(|| body.to_string().into_bytes());
        Self {
            key: format!("{WORD}@example.org/{key}"),
            path,
            body,
        }
    }

    /// The same in another spelling.
    pub fn spelled(&self, spelling: Spelling) -> Self {
        let path = spelled(&self.path, spelling);
        Self {
            path,
            ..self.clone()
        }
    }
}

/// The service as a process, so that its log is complete; and everything that it connects to.
pub struct World {
    pub api: Process,
    pub fixture: Fixture,
    pub schema: String,
    pub(super) fake: FakeLiveKit,
    upstream: Upstream,
    pub(super) worker: Client,
    pub(super) base: String,
}

/// The data that was created: paths to delete, and requests to repeat.
#[derive(Default)]
pub struct Traces {
    pub deletions: Vec<String>,
    pub keyed: Vec<Keyed>,
    pub survivor: Value,
    pub user: String,
    pub erased_session: Value,
    pub caller_room: Value,
}

impl World {
    pub async fn start() -> Self {
        let (fake, schema, port) = (FakeLiveKit::start(), make_schema().await, free_port());
        fake.exchange().with_agents();
        let more = [
            format!("--listen=127.0.0.1:{port}"),
            format!("--livekit-url={}", fake.url),
            format!("--embedding-directory={}", environment("MODEL")),
            "--outbound-allow=127.0.0.0/8".to_owned(),
            "--call-poll=100ms".to_owned(),
            "--join-deadline=20s".to_owned(),
            "--agent-grace=60s".to_owned(),
            "--log=trace".to_owned(),
        ];
        let more: Vec<_> = more.iter().map(|setting| &**setting).collect();
        let mut api = Process::api(&arguments(&schema, &more));
        api.wait_for_port(port);
        let base = format!("http://127.0.0.1:{port}");
        let fixture = Fixture::make(&base, "acme").await;
        let upstream = Upstream::start();
        let worker = Client::new(&base, Some(WORKER_KEY));
        Self {
            api,
            fixture,
            schema,
            fake,
            upstream,
            worker,
            base,
        }
    }

    pub async fn database(&self) -> AsyncPgConnection {
        let url = in_schema(&environment("DATABASE_OWNER_URL"), &self.schema);
        AsyncPgConnection::establish(&url).await.unwrap()
    }

    pub fn objects(&self) -> PathBuf {
        format!("{}/{}-objects", environment("FOLDER"), self.schema).into()
    }

    pub(super) fn at(&self, rest: &str) -> String {
        self.fixture.at(rest)
    }

    /// A POST with an Idempotency-Key that contains the person's name; it is recorded to be repeated.
    pub(super) async fn keyed(
        &self,
        traces: &mut Traces,
        spelling: Spelling,
        path: &str,
        body: Value,
    ) -> Response {
        let key = traces.keyed.len().to_string();
        let keyed = Keyed::new(&key, spelled(path, spelling), &body);
        let answer = self.repeat(&self.fixture.admin, &keyed).await;
        traces.keyed.push(keyed);
        answer
    }

    pub async fn repeat(&self, client: &Client, keyed: &Keyed) -> Response {
        let client = client.with_header("idempotency-key", &keyed.key);
        client
            .send(Method::POST, &keyed.path, keyed.body.clone())
            .await
    }

    pub(super) async fn deliver(&self, event: &Value) {
        let body = event.to_string().into_bytes();
        let client = Client::new(&self.base, None).with_header("authorization", &sign(&body));
        let client = client.with_header("content-type", "application/webhook+json");
        let path = "/api/livekit/webhooks";
        client
            .send(Method::POST, path, Some(body))
            .await
            .expect(200);
    }

    pub(super) async fn session_becomes(&self, session: &Value, states: &[&str]) -> Value {
        eventually(&format!("a session is {states:?}"), async || {
            let session = self.fixture.read(session).await;
            states
                .iter()
                .any(|state| session["state"] == **state)
                .then_some(session)
        })
        .await
    }

    /// An agent with a greeting, tools and knowledge.
    pub(super) async fn prepare(&self) {
        let admin = &self.fixture.admin;
        let path = self.at(&format!("prompts/{}/versions", self.fixture.prompt));
        let spec = json!({ "spec": {
            "template": "You answer for {{ company }}.", "greeting": "Hello {{ company }}!",
            "variables": [{ "name": "company", "required": true }],
        } });
        let prompt = id(&admin.post(&path, &spec).await.expect(201));
        let tool = self.fixture.tool(self.find_order("find_order")).await;
        let body = json!({
            "prompt_version_id": prompt, "runtime_config_version_id": self.fixture.config_version,
            "tool_version_ids": [tool, self.fixture.tool_version], "knowledge": { "top_k": 3 },
        });
        let path = self.at(&format!("agents/{}/bindings", self.fixture.agent));
        let binding = id(&admin.post(&path, &body).await.expect(201));
        self.fixture.activate(&binding).await;
        trunk(&self.fixture, "carrier").await;
    }

    pub(super) fn find_order(&self, name: &str) -> Value {
        json!({
            "kind": "http", "function_name": name, "description": "Finds an order.",
            "parameters": { "type": "object", "properties": { "name": { "type": "string" } } },
            "http": {
                "method": "POST", "url": format!("{}/orders", self.upstream.url),
                "json": { "name": "{{ arguments.name }}" }, "timeout_seconds": 5,
            },
        })
    }
}
