//! `Idempotency-Key`: one effect, despite repetitions, lost responses and crashes.

use diesel_async::SimpleAsyncConnection as _;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::erasure::{Spelling, spelled};
use super::support::{Client, FakeLiveKit, Fault, Fixture, TestApp, eventually, operations};

/// POSTs that accept no key: they create nothing, or are idempotent by ids in their body.
const WITHOUT_KEY: [&str; 14] = [
    "activateBinding",
    "appendTranscript",
    "appendUsage",
    "bulkDeleteFiles",
    "bulkIngestFiles",
    "claimInboundCall",
    "createClientToken",
    "createToken",
    "receiveLivekitWebhook",
    "renderPrompt",
    "resolveInboundNumber",
    "retryJob",
    "searchFiles",
    "searchKnowledge",
];

fn keyed(client: &Client, key: &str) -> Client {
    client.with_header("idempotency-key", key)
}

async fn count(fixture: &Fixture, path: &str) -> usize {
    let page = fixture.admin.get(&fixture.at(path)).await.expect(200);
    page["data"].as_array().unwrap().len()
}

#[test]
fn every_post_takes_a_key_but_a_named_few() {
    for (method, path, operation) in operations() {
        let name = operation["operationId"].as_str().unwrap();
        let parameters = operation["parameters"].as_array();
        let takes =
            parameters.is_some_and(|all| all.iter().any(|p| p["name"] == "Idempotency-Key"));
        let should = method == "POST" && !WITHOUT_KEY.contains(&name);
        assert_eq!(takes, should, "{name}: {method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_have_one_effect() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let body = json!({ "agent_id": fixture.agent, "variables": { "company": "Acme" } });
    let client = keyed(&fixture.admin, "once");
    let path = fixture.at("sessions");
    let answers = join_all((0..100).map(|_| client.post(&path, &body))).await;
    let (mut fresh, mut ids) = (0, Vec::new());
    for answer in answers {
        match answer.status.as_u16() {
            409 => drop(answer.expect_error(409, "idempotency_in_flight")),
            _ => {
                fresh += usize::from(answer.header("idempotency-replayed").is_empty());
                ids.push(answer.expect(201)["id"].clone());
            }
        }
    }
    ids.dedup();
    assert_eq!((fresh, ids.len()), (1, 1));
    assert_eq!(count(&fixture, "sessions").await, 1);
    let trail = fixture.at("audit-events?action=session.created");
    let trail = fixture.admin.get(&trail).await.expect(200);
    assert_eq!(trail["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_the_first_answer() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let client = keyed(&fixture.admin, "k");
    let (path, body) = (fixture.at("agents"), json!({ "name": "b" }));
    let first = client.post(&path, &body).await;
    let again = client.post(&path, &body).await;
    for name in ["location", "etag"] {
        assert_eq!(first.header(name), again.header(name));
        assert!(!first.header(name).is_empty());
    }
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!(again.header("idempotency-replayed"), "true");
    let agent = first.expect(201);
    assert_eq!(again.expect(201), agent);
    // A different body, and a different path.
    let other = json!({ "name": "c" });
    let reused = client.post(&path, &other).await;
    reused.expect_error(422, "idempotency_key_reused");
    // Another operation, and another caller: independent keys.
    client.post(&fixture.at("prompts"), &body).await.expect(201);
    let stranger = app.key(&fixture.tenant, &["agents:write"]).await;
    let taken = keyed(&stranger, "k").post(&path, &body).await;
    taken.expect_error(409, "name_taken");
    // A refused request is not stored: its key can be used again.
    keyed(&stranger, "k").post(&path, &other).await.expect(201);
    // After the resource is deleted, the response is still replayed.
    let gone = fixture.at(&format!("agents/{}", agent["id"].as_str().unwrap()));
    fixture.admin.delete(&gone).await.expect(204);
    assert_eq!(client.post(&path, &body).await.expect(201), agent);
    fixture
        .admin
        .get(&gone)
        .await
        .expect_error(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_used_are_refused() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    for wrong in [&*"x".repeat(256), "two words", ""] {
        let client = keyed(&fixture.admin, wrong);
        let refused = client
            .post(&fixture.at("agents"), &json!({ "name": "b" }))
            .await;
        refused.expect_error(400, "invalid_idempotency_key");
    }
    let twice = keyed(&keyed(&fixture.admin, "a"), "b");
    let refused = twice
        .post(&fixture.at("agents"), &json!({ "name": "b" }))
        .await;
    refused.expect_error(400, "invalid_idempotency_key");
    let longest = keyed(&fixture.admin, &"x".repeat(255));
    longest
        .post(&fixture.at("agents"), &json!({ "name": "b" }))
        .await
        .expect(201);
    assert_eq!(count(&fixture, "agents").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_not_replayed() {
    let app = TestApp::start().await;
    let operator = keyed(&app.operator(), "tenant");
    let body = json!({ "slug": "acme", "name": "Acme" });
    let first = operator.post("/api/tenants", &body).await.expect(201);
    assert!(first["secret"].as_str().unwrap().starts_with("pb_"));
    let again = operator.post("/api/tenants", &body).await.expect(201);
    assert_eq!(again["secret"], Value::Null);
    assert_eq!(again["tenant"], first["tenant"]);
    assert_eq!(again["key"], first["key"]);
    let path = format!(
        "/api/tenants/{}/keys",
        first["tenant"]["id"].as_str().unwrap()
    );
    let body = json!({ "name": "k", "preset": "viewer" });
    let admin = keyed(&app.with_key(first["secret"].as_str().unwrap()), "key");
    let made = admin.post(&path, &body).await.expect(201);
    let again = admin.post(&path, &body).await.expect(201);
    assert!(made["secret"].is_string() && again["secret"].is_null());
    assert_eq!(made["key"]["id"], again["key"]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_not_told_again() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let client = keyed(&fixture.admin, "s");
    let body = json!({ "agent_id": fixture.agent, "variables": { "company": "Acme" } });
    let session = client
        .post(&fixture.at("sessions"), &body)
        .await
        .expect(201);
    let path = fixture.at(&format!("sessions/{}", session["id"].as_str().unwrap()));
    client.act(&format!("{path}/stop")).await.expect(200);
    fixture.admin.delete(&path).await.expect(204);
    let replay = client.post(&fixture.at("sessions"), &body).await;
    replay.expect_error(410, "erased");
    let replay = client.act(&format!("{path}/stop")).await;
    replay.expect_error(410, "erased");
    assert_eq!(count(&fixture, "sessions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_the_same_however_its_ids_are_spelled() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let client = keyed(&fixture.admin, "ada@example.org");
    let body = json!({ "agent_id": fixture.agent, "variables": { "company": "Acme" } });
    let session = client
        .post(&fixture.at("sessions"), &body)
        .await
        .expect(201);
    let stop = fixture.at(&format!(
        "sessions/{}/stop",
        session["id"].as_str().unwrap()
    ));
    // The first spelling is not the canonical one.
    let first = client.act(&spelled(&stop, Spelling::NoDashes)).await;
    assert_eq!(first.header("idempotency-replayed"), "");
    let stopped = first.expect(200);
    let all = [
        Spelling::Ours,
        Spelling::Capitals,
        Spelling::NoDashes,
        Spelling::Braces,
        Spelling::Urn,
        Spelling::Encoded,
    ];
    for spelling in all {
        let replay = client.act(&spelled(&stop, spelling)).await;
        assert_eq!(
            replay.header("idempotency-replayed"),
            "true",
            "{spelling:?}"
        );
        assert_eq!(replay.expect(200), stopped);
        let sessions = spelled(&fixture.at("sessions"), spelling);
        let replay = client.post(&sessions, &body).await;
        assert_eq!(replay.expect(201)["id"], session["id"], "{spelling:?}");
    }
    // A fixed segment of the path may be percent-encoded too.
    let replay = client.act(&stop.replace("sessions", "%73essions")).await;
    assert_eq!(replay.expect(200), stopped);
    let other = fixture.session(false).await;
    let other = stop.replace(
        session["id"].as_str().unwrap(),
        other["id"].as_str().unwrap(),
    );
    let reused = client.act(&other).await;
    reused.expect_error(422, "idempotency_key_reused");

    fixture
        .admin
        .delete(stop.strip_suffix("/stop").unwrap())
        .await
        .expect(204);
    for spelling in all {
        let replay = client.act(&spelled(&stop, spelling)).await;
        replay.expect_error(410, "erased");
        let sessions = spelled(&fixture.at("sessions"), spelling);
        let replay = client.post(&sessions, &body).await;
        replay.expect_error(410, "erased");
    }
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    let look = format!(
        "SET app.tenant_id = '{}';
         DO $$ BEGIN
             IF (SELECT count(*) FROM idempotency_keys) <> 2 OR EXISTS (
                 SELECT FROM idempotency_keys WHERE body IS NOT NULL OR key NOT LIKE 'sha256 %'
                     OR path NOT LIKE '/api/tenants/{0}/sessions%'
             ) THEN RAISE EXCEPTION 'something of the answers was left behind';
             END IF;
         END $$",
        fixture.tenant
    );
    database.batch_execute(&look).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_in_flight_until_it_has_settled() {
    let fake = FakeLiveKit::start();
    let url = format!("--livekit-url={}", fake.url);
    let settings = [&*url, "--start-wait=1500ms", "--livekit-timeout=5s"];
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    fake.set("CreateRoom", Fault::Hang);
    let session = fixture.session(false).await;
    let path = fixture.at(&format!(
        "sessions/{}/start",
        session["id"].as_str().unwrap()
    ));
    let client = keyed(&fixture.admin, "go");
    let first = tokio::spawn({
        let (client, path) = (client.clone(), path.clone());
        async move { client.act(&path).await }
    });
    eventually("it is starting", async || {
        let session = fixture.read(&session).await;
        (session["state"] == "starting").then_some(())
    })
    .await;
    let second = client.act(&path).await;
    second.expect_error(409, "idempotency_in_flight");
    assert_eq!(first.await.unwrap().expect(202)["state"], "starting");
    let replay = client.act(&path).await;
    assert_eq!(replay.header("idempotency-replayed"), "true");
    replay.expect(202);
}
