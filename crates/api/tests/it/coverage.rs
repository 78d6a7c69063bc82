//! Every operation of the OpenAPI document refuses keys without access, and answers 404 for missing resources.
//! The operations come from the document, so that a new one is covered automatically.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::support::{Client, Fixture, Response, TestApp, example, operations};

/// Operations that need no key of a tenant. This list may only shrink.
const EXEMPT: [&str; 4] = [
    "getHealth",
    "getReadiness",
    "receiveLivekitWebhook",
    "getWhoami",
];

pub(super) struct World {
    pub(super) app: TestApp,
    ours: Fixture,
    pub(super) ids: Map<String, Value>,
    others: Map<String, Value>,
}

/// Ids of all resources of a tenant, by their names in paths and bodies.
async fn ids(fixture: &Fixture) -> Map<String, Value> {
    let session = fixture.session(true).await;
    let session_id = session["id"].as_str().unwrap();
    let runs = fixture.at(&format!("sessions/{session_id}/agent-runs"));
    let runs = fixture.admin.get(&runs).await.expect(200);
    let user = json!({ "email": "ada@example.org", "display_name": "Ada" });
    let user = fixture
        .admin
        .post(&fixture.at("users"), &user)
        .await
        .expect(201);
    let secret = json!({ "value": "v", "hosts": ["example.org"] });
    let path = fixture.at("secrets/TOKEN");
    fixture.admin.put(&path, &secret).await.expect(201);
    let key = json!({ "name": "k", "scopes": ["agents:read"] });
    let key = fixture
        .admin
        .post(&fixture.at("keys"), &key)
        .await
        .expect(201);
    let number = format!("+49301234{}", if fixture.slug == "ours" { 10 } else { 11 });
    let mapping = fixture.mapping(&number).await;
    let trunk = fixture.trunk().await;
    let call = json!({
        "agent_id": fixture.agent, "to": "+4930123456", "variables": { "company": "Acme" },
    });
    let path = fixture.at("calls");
    let call = fixture.admin.post(&path, &call).await.expect(201);
    let path = fixture.at("files?name=notes.txt");
    let file = fixture.admin.upload(&path, b"Notes.").await.expect(201);
    let attach = fixture.at(&format!("agents/{}/files", fixture.agent));
    let body = json!({ "file_ids": [file["id"]] });
    fixture.admin.post(&attach, &body).await.expect(200);
    let map = json!({
        "tenant_id": fixture.tenant,
        "number": number,
        "trunk_id": trunk,
        "mapping_id": mapping,
        "call_id": call["id"],
        "agent_id": fixture.agent,
        "prompt_id": fixture.prompt,
        "config_id": fixture.config,
        "binding_id": fixture.binding,
        "session_id": session_id,
        "agent_run_id": runs["data"][0]["id"],
        "user_id": user["id"],
        "file_id": file["id"],
        "file_ids": [file["id"]],
        "name": "TOKEN",
        "digest": session["configuration_digest"],
        "key_id": key["key"]["id"],
        "prompt_version_id": fixture.prompt_version,
        "runtime_config_version_id": fixture.config_version,
        "tool_id": fixture.tool,
        "tool_version_id": fixture.tool_version,
        "tool_version_ids": [fixture.tool_version],
        "function_name": "open_page",
        "worker_id": "worker-1",
        "job_id": "01a20a81-0000-7000-8000-000000000000",
    });
    map.as_object().unwrap().clone()
}

fn version_of(ids: &Map<String, Value>, path: &str) -> Value {
    ids[version_key(path)].clone()
}

fn version_key(path: &str) -> &'static str {
    match path {
        _ if path.contains("/prompts/") => "prompt_version_id",
        _ if path.contains("/tools/") => "tool_version_id",
        _ => "runtime_config_version_id",
    }
}

pub(super) fn fill(path: &str, ids: &Map<String, Value>) -> String {
    path.split('/')
        .map(
            |part| match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
                Some("version_id") => version_of(ids, path).as_str().unwrap().to_owned(),
                Some(name) => ids[name].as_str().unwrap().to_owned(),
                None => part.to_owned(),
            },
        )
        .collect::<Vec<_>>()
        .join("/")
}

/// The operation's example body with the ids of a tenant in it.
pub(super) fn body(operation: &Value, ids: &Map<String, Value>) -> Option<Value> {
    let body = &operation["requestBody"]["content"]["application/json"];
    let mut body = example(body).cloned().unwrap_or_default();
    for (name, value) in body.as_object_mut()? {
        if let Some(id) = ids.get(name) {
            *value = id.clone();
        }
    }
    Some(body)
}

pub(super) async fn send(
    client: &Client,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Response {
    let method: Method = method.parse().unwrap();
    client
        .send(method, path, body.map(|body| body.to_string().into_bytes()))
        .await
}

/// A 404 without the parts that differ between requests.
fn not_found(answer: Response, what: &str) -> Value {
    assert_eq!(answer.status, 404, "{what}: {}", answer.body);
    let mut body = answer.body;
    body["request_id"].take();
    body
}

/// All resources twice: for a tenant, and for another one.
pub(super) async fn world() -> (World, Fixture) {
    let app = TestApp::start().await;
    let (ours, theirs) = (app.tenant("ours").await, app.tenant("theirs").await);
    let world = World {
        ids: ids(&ours).await,
        others: ids(&theirs).await,
        ours,
        app,
    };
    (world, theirs)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_whom_it_must() {
    let (world, theirs) = world().await;
    let stranger = &theirs.admin;
    let mut covered = 0;
    for (method, path, operation) in operations() {
        let name = operation["operationId"].as_str().unwrap();
        if EXEMPT.contains(&name) {
            continue;
        }
        covered += 1;
        let url = fill(&path, &world.ids);
        let body = body(operation, &world.ids);
        refuses_without_key(&world, &method, &url, body.as_ref(), name).await;
        refuses_without_scope(&world, operation, &method, &url, body.as_ref(), name).await;
        if path.contains("{tenant_id}") {
            hides_from_others(&world, stranger, (&method, &path), operation, name).await;
        }
        if body.is_some() {
            refuses_bad_bodies(&world, operation, &method, &url, name).await;
        }
    }
    assert!(covered > 40, "only {covered} operations are covered");
}

async fn refuses_without_key(
    world: &World,
    method: &str,
    url: &str,
    body: Option<&Value>,
    name: &str,
) {
    let answer = send(&world.app.anonymous(), method, url, body).await;
    assert_eq!(answer.status, 401, "{name} without a key");
}

async fn refuses_without_scope(
    world: &World,
    operation: &Value,
    method: &str,
    url: &str,
    body: Option<&Value>,
    name: &str,
) {
    let scopes = operation["x-scopes"].as_array().unwrap();
    let lacking = ["audit:read", "tokens:write"]
        .into_iter()
        .find(|s| !scopes.contains(&json!(s)));
    let key = world.app.key(&world.ours.tenant, &[lacking.unwrap()]).await;
    let answer = send(&key, method, url, body).await;
    assert_eq!(
        answer.status, 403,
        "{name} without its scope: {}",
        answer.body
    );
}

async fn hides_from_others(
    world: &World,
    stranger: &Client,
    (method, path): (&str, &str),
    operation: &Value,
    name: &str,
) {
    let nowhere: Map<_, _> = world
        .ids
        .iter()
        .map(|(name, _)| {
            let id = "01a20a81-0000-7000-8000-000000000000";
            let absent = match &**name {
                "digest" => json!("0".repeat(64)),
                name if name.ends_with("_ids") => json!([id]),
                _ => json!(id),
            };
            (name.clone(), absent)
        })
        .collect();
    let ours = body(operation, &world.ids);
    let url = fill(path, &world.ids);
    let foreign = not_found(send(stranger, method, &url, ours.as_ref()).await, name);
    for parameter in path.split('/').filter(|part| part.starts_with('{')) {
        let parameter = parameter.trim_matches(['{', '}']);
        if parameter == "tenant_id" {
            continue;
        }
        let key = match parameter {
            "version_id" => version_key(path),
            other => other,
        };
        for source in [&world.others, &nowhere] {
            let mut mixed = world.ids.clone();
            mixed[key] = source[key].clone();
            // Resources with a name or digest may exist in both tenants, and PUT creates them.
            if source[key] == world.ids[key]
                || (method == "PUT" && ["name", "number"].contains(&key))
            {
                continue;
            }
            let client = caller(world, operation);
            let url = fill(path, &mixed);
            let answer = send(&client, method, &url, ours.as_ref()).await;
            assert_eq!(not_found(answer, name), foreign, "{name}: {parameter}");
        }
    }
    let Some(body) = ours else { return };
    for (field, _) in body.as_object().unwrap() {
        // An external id is the client's own.
        if !(field.ends_with("_id") || field.ends_with("_ids")) || field == "external_id" {
            continue;
        }
        for source in [&world.others, &nowhere] {
            let mut mixed = body.clone();
            mixed[field] = source[field].clone();
            // What another tenant has is as unknown as what nobody has.
            let answer = send(&world.ours.admin, method, &url, Some(&mixed)).await;
            if let Some(results) = answer.body["results"].as_array() {
                // A change of many has a result for each.
                let is_unknown = |result: &Value| result["error"]["code"] == "not_found";
                let is_told = !results.is_empty() && results.iter().all(is_unknown);
                assert!(is_told, "{name}: {}", answer.body);
                continue;
            }
            let found = answer.violations();
            let place = format!("/{field}");
            let is_unknown = |(at, code): &(String, String)| {
                at.trim_end_matches("/0") == place && code == "unknown_reference"
            };
            let is_told = !found.is_empty() && found.iter().all(is_unknown);
            assert!(is_told, "{name}: {}", answer.body);
            answer.expect_error(422, "validation_failed");
        }
    }
}

/// The tenant's admin, for operations that an admin may use.
pub(super) fn caller(world: &World, operation: &Value) -> Client {
    let scopes = operation["x-scopes"].as_array().unwrap();
    if scopes == &[json!("operator")] {
        return world.app.operator();
    }
    if scopes == &[json!("worker")] {
        return world.app.worker();
    }
    world.ours.admin.clone()
}

async fn refuses_bad_bodies(world: &World, operation: &Value, method: &str, url: &str, name: &str) {
    let client = caller(world, operation);
    let malformed = client
        .send(method.parse().unwrap(), url, Some(b"{\"a\":".to_vec()))
        .await;
    assert_eq!(malformed.status, 400, "{name} with a malformed body");
    let unknown = send(&client, method, url, Some(&json!({ "no_such_field": 1 }))).await;
    assert_eq!(
        unknown.status, 422,
        "{name} with an unknown field: {}",
        unknown.body
    );
    assert!(
        unknown
            .violations()
            .contains(&("/no_such_field".into(), "unknown_field".into())),
        "{name}: {}",
        unknown.body
    );
}
