//! Tools: creation, pinning, tests and calls.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::support::{
    Client, Fixture, Process, TestApp, Upstream, arguments, eventually, free_port, make_schema,
};

const ALLOW: &str = "--outbound-allow=127.0.0.0/8";
const TOKEN: &str = "tok-very-secret-4711";

/// A tool that requests an order from `upstream`.
fn find_order(upstream: &Upstream, path: &str) -> Value {
    json!({
        "kind": "http",
        "function_name": "find_order",
        "description": "Finds an order by its number.",
        "parameters": {
            "type": "object", "required": ["number"], "additionalProperties": false,
            "properties": { "number": { "type": "string", "maxLength": 20 } },
        },
        "http": {
            "method": "POST", "url": format!("{}{path}", upstream.url),
            "headers": { "authorization": "Bearer {{ secrets.SHOP }}" },
            "json": { "number": "{{ arguments.number }}", "call": "{{ call.id }}", "run": "{{ call.agent_run_id }}" },
            "timeout_seconds": 1,
        },
    })
}

/// The same with a slow response.
fn slow_order(upstream: &Upstream) -> Value {
    let mut slow = find_order(upstream, "/slow");
    slow["http"]["timeout_seconds"] = 2.into();
    slow
}

async fn keep_token(fixture: &Fixture) {
    let body = json!({ "value": TOKEN, "hosts": ["127.0.0.1"] });
    fixture
        .admin
        .put(&fixture.at("secrets/SHOP"), &body)
        .await
        .expect(201);
}

/// A started session whose run may call these tools; returns it with the path of its calls.
async fn calls_of(fixture: &Fixture, tools: &[Value]) -> (Value, String) {
    let mut versions = Vec::new();
    for tool in tools {
        versions.push(fixture.tool(tool.clone()).await);
    }
    let versions: Vec<_> = versions.iter().map(String::as_str).collect();
    let binding = fixture.bind_tools(&versions).await;
    fixture.activate(&binding).await;
    let session = fixture.session(true).await;
    let path = fixture.at(&format!(
        "sessions/{}/agent-runs",
        session["id"].as_str().unwrap()
    ));
    let runs = fixture.admin.get(&path).await.expect(200);
    let run = runs["data"][0]["id"].as_str().unwrap();
    (session, format!("{path}/{run}/tools"))
}

async fn timeline(fixture: &Fixture, session: &Value) -> Vec<Value> {
    let path = fixture.at(&format!(
        "sessions/{}/events?limit=100",
        session["id"].as_str().unwrap()
    ));
    let mut events = fixture.admin.get(&path).await.expect(200)["data"]
        .as_array()
        .unwrap()
        .clone();
    events.reverse();
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_calls_a_pinned_tool_and_never_sees_its_secret() {
    let app = TestApp::start_with(&[ALLOW]).await;
    let (fixture, upstream) = (app.tenant("acme").await, Upstream::start());
    keep_token(&fixture).await;
    let (session, tools) = calls_of(&fixture, &[find_order(&upstream, "/orders?x=1")]).await;
    let worker = app.worker();
    let config = tools.replace("/tools", "/config");
    let config = worker.get(&config).await.expect(200);
    let tool = &config["configuration"]["tools"][0];
    assert_eq!(tool["parameters"]["properties"]["number"]["maxLength"], 20);
    assert!(!config.to_string().contains(TOKEN));

    let body = json!({ "arguments": { "number": "A-17" } });
    let answer = worker
        .post(&format!("{tools}/find_order"), &body)
        .await
        .expect(200);
    assert_eq!(
        (&answer["status"], &answer["http_status"]),
        (&json!("succeeded"), &json!(200))
    );
    assert_eq!(answer["result"]["order"]["state"], "sent");
    assert!(
        !answer.to_string().contains(TOKEN),
        "the echoed secret is hidden: {answer}"
    );
    let asked = &upstream.calls()[0];
    assert_eq!(asked["headers"]["authorization"], format!("Bearer {TOKEN}"));
    let sent: Value = serde_json::from_str(asked["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&sent["number"], &sent["call"]),
        (&json!("A-17"), &answer["id"])
    );

    let events = timeline(&fixture, &session).await;
    let tool_calls: Vec<_> = events
        .iter()
        .filter(|event| !event["tool_call"].is_null())
        .collect();
    assert_eq!(tool_calls.len(), 2, "{events:?}");
    assert_eq!(
        (&tool_calls[0]["kind"], &tool_calls[1]["kind"]),
        (&json!("tool_call.started"), &json!("tool_call.finished"))
    );
    assert_eq!(tool_calls[0]["agent_run_id"], sent["run"]);
    let finished = &tool_calls[1]["tool_call"];
    assert_eq!(
        (&finished["id"], &finished["status"]),
        (&answer["id"], &json!("succeeded"))
    );
    assert_eq!(
        (&finished["size_bytes"], &finished["duration_ms"]),
        (&answer["size_bytes"], &answer["duration_ms"])
    );
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds[..3],
        ["session.created", "session.starting", "run.pending"]
    );

    let wrong = json!({ "arguments": { "number": 5, "x": 1 } });
    let refused = worker.post(&format!("{tools}/find_order"), &wrong).await;
    let found = refused.violations();
    assert!(
        found.contains(&("/arguments/number".into(), "invalid_type".into())),
        "{found:?}"
    );
    worker
        .post(&format!("{tools}/nothing"), &body)
        .await
        .expect_error(404, "not_found");
    fixture
        .admin
        .post(&format!("{tools}/find_order"), &body)
        .await
        .expect_error(403, "missing_scope");
    let stop = fixture.at(&format!(
        "sessions/{}/stop",
        session["id"].as_str().unwrap()
    ));
    fixture.admin.act(&stop).await;
    worker
        .post(&format!("{tools}/find_order"), &body)
        .await
        .expect_error(409, "session_over");
    assert_eq!(upstream.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_is_an_answer() {
    let app = TestApp::start_with(&[ALLOW]).await;
    let (fixture, upstream) = (app.tenant("acme").await, Upstream::start());
    keep_token(&fixture).await;
    let named = |name: &str, path: &str| {
        let mut tool = find_order(&upstream, path);
        tool["function_name"] = name.into();
        tool
    };
    let mut pointed = named("pointed", "/orders");
    pointed["http"]["result_pointer"] = "/nothing".into();
    let closed = Upstream {
        url: format!("http://127.0.0.1:{}", free_port()),
        ..upstream.clone()
    };
    let mut unreachable = find_order(&closed, "/orders");
    unreachable["function_name"] = "unreachable".into();
    let cases = [
        ("missing", "http_status", Some(404)),
        ("never", "timeout", None),
        ("big", "answer_too_large", None),
        ("elsewhere", "redirect_refused", None),
        ("pointed", "result_missing", Some(200)),
        ("unreachable", "unreachable", None),
    ];
    let tools: Vec<_> = ["missing", "never", "big", "elsewhere"]
        .map(|name| named(name, &format!("/{name}")))
        .into_iter()
        .chain([pointed, unreachable])
        .collect();
    let (session, path) = calls_of(&fixture, &tools).await;
    let body = json!({ "arguments": { "number": "A-17" } });
    for (name, code, status) in cases {
        let answer = app
            .worker()
            .post(&format!("{path}/{name}"), &body)
            .await
            .expect(200);
        let code = if name == "elsewhere" {
            "address_refused"
        } else {
            code
        };
        assert_eq!(answer["status"], "failed", "{name}");
        assert_eq!(
            (&answer["error"]["code"], &answer["http_status"]),
            (&json!(code), &json!(status)),
            "{answer}"
        );
    }
    let missing = app
        .worker()
        .post(&format!("{path}/missing"), &body)
        .await
        .expect(200);
    assert_eq!(
        missing["result"]["message"], "no such order",
        "the model may be told why"
    );
    // A secret that was deleted, or whose hosts have changed, is not sent.
    let before = upstream.calls().len();
    let elsewhere = json!({ "value": TOKEN, "hosts": ["example.org"] });
    fixture
        .admin
        .put(&fixture.at("secrets/SHOP"), &elsewhere)
        .await
        .expect(200);
    let answer = app
        .worker()
        .post(&format!("{path}/missing"), &body)
        .await
        .expect(200);
    assert_eq!(answer["error"]["code"], "secret_not_for_host");
    fixture
        .admin
        .delete(&fixture.at("secrets/SHOP"))
        .await
        .expect(204);
    let answer = app
        .worker()
        .post(&format!("{path}/missing"), &body)
        .await
        .expect(200);
    assert_eq!(answer["error"]["code"], "unknown_secret");
    assert_eq!(upstream.calls().len(), before);
    let events = timeline(&fixture, &session).await;
    let ended = events
        .iter()
        .filter(|e| e["tool_call"]["status"] == "failed")
        .count();
    assert_eq!(ended, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_checked_when_it_is_written() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let upstream = Upstream::start();
    let path = fixture.at(&format!("tools/{}/versions", fixture.tool));
    let post = async |spec: Value| fixture.admin.post(&path, &json!({ "spec": spec })).await;
    // Loopback is not among the networks that the operator allows here.
    let inside = post(find_order(&upstream, "/")).await;
    inside.expect_error(422, "validation_failed");
    assert_eq!(
        post(find_order(&upstream, "/")).await.violations(),
        [("/spec/http/url".into(), "address_refused".into())]
    );
    let mut spec = find_order(&upstream, "/");
    spec["http"]["url"] = "https://shop.example.org/x".into();
    assert_eq!(
        post(spec.clone()).await.violations(),
        [("/spec/http/url".into(), "unknown_secret".into())]
    );
    let secret = json!({ "value": TOKEN, "hosts": ["api.example.org"] });
    fixture
        .admin
        .put(&fixture.at("secrets/SHOP"), &secret)
        .await
        .expect(201);
    assert_eq!(
        post(spec.clone()).await.violations(),
        [("/spec/http/url".into(), "secret_not_for_host".into())]
    );
    let secret = json!({ "value": TOKEN, "hosts": ["SHOP.example.org"] });
    fixture
        .admin
        .put(&fixture.at("secrets/SHOP"), &secret)
        .await
        .expect(200);
    let made = post(spec.clone()).await.expect(201);
    assert_eq!(
        (&made["number"], &made["spec"]["http"]["timeout_seconds"]),
        (&json!(2), &json!(1))
    );
    spec["parameters"]["properties"]["number"]["type"] = "strin".into();
    let found = post(spec).await.violations();
    assert_eq!(
        found[0],
        (
            "/spec/parameters/properties/number/type".into(),
            "invalid_schema".into()
        )
    );
    let both = json!({ "kind": "client", "function_name": "f", "description": "d", "client": {}, "mcp": { "url": "https://a.example.org/", "tool_name": "t" } });
    assert_eq!(
        post(both).await.violations(),
        [("/spec/mcp".into(), "unknown_field".into())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_can_be_tried_without_a_session() {
    let app = TestApp::start_with(&[ALLOW]).await;
    let (fixture, upstream) = (app.tenant("acme").await, Upstream::start());
    keep_token(&fixture).await;
    let mut big = find_order(&upstream, "/big");
    big["http"]["max_answer_bytes"] = 100_000.into();
    let version = fixture.tool(big).await;
    let tools = fixture.admin.get(&fixture.at("tools")).await.expect(200);
    let tool = tools["data"][0]["id"].as_str().unwrap();
    let path = fixture.at(&format!("tools/{tool}/versions/{version}/test"));
    let body = json!({ "arguments": { "number": "1" } });
    let keyed = fixture.admin.with_header("idempotency-key", "try");
    let answer = keyed.post(&path, &body).await.expect(200);
    assert_eq!(
        (
            &answer["status"],
            &answer["size_bytes"],
            &answer["answer_cut"]
        ),
        (&json!("succeeded"), &json!(70_000), &json!(true))
    );
    assert_eq!(answer["answer"].as_str().unwrap().len(), 65_536);
    let replay = keyed.post(&path, &body).await;
    assert_eq!(replay.header("idempotency-replayed"), "true");
    assert_eq!((replay.expect(200), upstream.calls().len()), (answer, 1));
    let wrong = json!({ "arguments": {} });
    let found = fixture.admin.post(&path, &wrong).await.violations();
    assert_eq!(
        found,
        [("/arguments/number".into(), "missing_field".into())]
    );
    let client = fixture.at(&format!(
        "tools/{}/versions/{}/test",
        fixture.tool, fixture.tool_version
    ));
    fixture
        .admin
        .post(&client, &json!({}))
        .await
        .expect_error(409, "tool_not_callable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_pins_tools_that_can_be_told_apart() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let page = json!({ "kind": "client", "function_name": "open_page", "description": "Another.", "client": {} });
    let twin = fixture.tool(page).await;
    let path = fixture.at(&format!("agents/{}/bindings", fixture.agent));
    let body = json!({
        "prompt_version_id": fixture.prompt_version, "runtime_config_version_id": fixture.config_version,
        "tool_version_ids": [fixture.tool_version, twin],
    });
    let refused = fixture.admin.post(&path, &body).await;
    assert_eq!(
        refused.violations(),
        [("/tool_version_ids/1".into(), "duplicate_function".into())]
    );
    let binding = fixture.bind_tools(&[&twin]).await;
    let read = fixture
        .admin
        .get(&format!("{path}/{binding}"))
        .await
        .expect(200);
    assert_eq!(read["tool_version_ids"], json!([twin]));
    let tools = fixture
        .admin
        .get(&fixture.at("tools?name=OPEN_"))
        .await
        .expect(200);
    let tool = tools["data"][0]["id"].as_str().unwrap();
    for bound in [
        format!("tools/{tool}/versions/{twin}"),
        format!("tools/{tool}"),
    ] {
        let refused = fixture
            .admin
            .delete(&fixture.at(&bound))
            .await
            .expect_error(409, "version_in_use");
        assert!(
            refused["detail"].as_str().unwrap().contains(&binding),
            "{refused}"
        );
    }
    fixture
        .admin
        .delete(&format!("{path}/{binding}"))
        .await
        .expect(204);
    fixture
        .admin
        .delete(&fixture.at(&format!("tools/{tool}")))
        .await
        .expect(204);
}

fn keyed(client: &Client, key: &str) -> Client {
    client.with_header("idempotency-key", key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_calls_with_one_key_are_one_call() {
    let app = TestApp::start_with(&[ALLOW]).await;
    let (fixture, upstream) = (app.tenant("acme").await, Upstream::start());
    keep_token(&fixture).await;
    let (_, tools) = calls_of(&fixture, &[slow_order(&upstream)]).await;
    let path = format!("{tools}/find_order");
    let body = json!({ "arguments": { "number": "A-17" } });
    let worker = keyed(&app.worker(), "turn-1");
    let answers = join_all((0..100).map(|_| worker.post(&path, &body))).await;
    let fresh = answers
        .iter()
        .filter(|a| a.status == 200 && a.header("idempotency-replayed").is_empty())
        .count();
    assert_eq!((fresh, upstream.calls().len()), (1, 1));
    for answer in answers.into_iter().filter(|answer| answer.status != 200) {
        answer.expect_error(409, "idempotency_in_flight");
    }
    let replay = worker.post(&path, &body).await;
    assert_eq!(replay.header("idempotency-replayed"), "true");
    let other = json!({ "arguments": { "number": "B" } });
    worker
        .post(&path, &other)
        .await
        .expect_error(422, "idempotency_key_reused");
    assert_eq!(upstream.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_hangs_up_does_not_lose_the_outcome() {
    let app = TestApp::start_with(&[ALLOW]).await;
    let (fixture, upstream) = (app.tenant("acme").await, Upstream::start());
    keep_token(&fixture).await;
    let (_, tools) = calls_of(&fixture, &[slow_order(&upstream)]).await;
    let path = format!("{tools}/find_order");
    let body = json!({ "arguments": { "number": "A-17" } });
    let worker = keyed(&app.worker(), "turn-1");
    let hasty = tokio::time::timeout(Duration::from_millis(400), worker.post(&path, &body));
    assert!(hasty.await.is_err());
    let answer = eventually("the outcome is there", async || {
        let answer = worker.post(&path, &body).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(answer.header("idempotency-replayed"), "true");
    let calls = upstream.calls();
    assert_eq!(calls.len(), 1, "{calls:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_the_outcome_is_unknown_and_the_call_is_not_repeated() {
    let upstream = Upstream::start();
    let schema = make_schema().await;
    let port = free_port();
    let listen = format!("--listen=127.0.0.1:{port}");
    let start = || {
        let mut api = Process::api(&arguments(
            &schema,
            &[&listen, ALLOW, "--request-timeout=15s"],
        ));
        api.wait_for_port(port);
        api
    };
    let mut api = start();
    let fixture = Fixture::make(&format!("http://127.0.0.1:{port}"), "acme").await;
    keep_token(&fixture).await;
    let (session, tools) = calls_of(&fixture, &[slow_order(&upstream)]).await;
    let path = format!("{tools}/find_order");
    let body = json!({ "arguments": { "number": "A-17" } });
    let worker = Client::new(&fixture.base, Some(super::support::WORKER_KEY));
    let worker = keyed(&worker, "turn-1");
    let hasty = tokio::time::timeout(Duration::from_millis(400), worker.post(&path, &body));
    assert!(hasty.await.is_err());
    assert_eq!(upstream.calls().len(), 1);
    api.kill();
    let _api = start();
    worker
        .post(&path, &body)
        .await
        .expect_error(409, "idempotency_in_flight");
    eventually("nobody can be at it any more", async || {
        let answer = worker.post(&path, &body).await;
        assert_eq!(answer.status, 409);
        (answer.body["code"] == "outcome_unknown").then_some(())
    })
    .await;
    assert_eq!(upstream.calls().len(), 1);
    let events = timeline(&fixture, &session).await;
    let last = events
        .iter()
        .rfind(|event| !event["tool_call"].is_null())
        .unwrap();
    assert_eq!(last["kind"], "tool_call.started", "an end is not made up");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_after_the_erasure_is_not_kept() {
    let app = TestApp::start_with(&[ALLOW]).await;
    let (fixture, upstream) = (app.tenant("acme").await, Upstream::start());
    keep_token(&fixture).await;
    let (session, tools) = calls_of(&fixture, &[slow_order(&upstream)]).await;
    let client = app.worker().with_header("idempotency-key", "k");
    let (path, body) = (
        format!("{tools}/find_order"),
        json!({ "arguments": { "number": "Ada" } }),
    );
    let called = tokio::spawn({
        let (client, path, body) = (client.clone(), path.clone(), body.clone());
        async move { client.post(&path, &body).await }
    });
    eventually("it is being called", async || {
        (!upstream.calls().is_empty()).then_some(())
    })
    .await;
    let at = fixture.at(&format!("sessions/{}", session["id"].as_str().unwrap()));
    fixture.admin.act(&format!("{at}/stop")).await.expect(200);
    fixture.admin.delete(&at).await.expect(204);
    let answer = called.await.unwrap().expect(200);
    assert_eq!(answer["status"], "succeeded", "it was seen through");
    client.post(&path, &body).await.expect_error(410, "erased");
    assert_eq!(upstream.calls().len(), 1);
}
