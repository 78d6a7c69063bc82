//! Registered workers: whether one is there, and what it can run.

use serde_json::{Value, json};

use super::support::{Fixture, TestApp, eventually, id};

fn worker(more: Value) -> Value {
    let mut worker = json!({
        "worker_name": "patchbay-agent", "version": "1", "kinds": ["echo", "pipeline"],
        "plugins": [{ "name": "openai", "version": "1.8.9", "has_key": true }], "capacity": 2, "running": 0,
    });
    let more = more.as_object().unwrap().clone();
    worker.as_object_mut().unwrap().extend(more);
    worker
}

async fn put(app: &TestApp, name: &str, more: Value) -> Value {
    let path = format!("/api/workers/{name}");
    app.worker().put(&path, &worker(more)).await.expect(200)
}

async fn alive(app: &TestApp) -> Value {
    let ready = app.anonymous().get("/health/ready").await.expect(200);
    ready["workers"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_known_while_it_sends_heartbeats() {
    let app = TestApp::start_with(&["--worker-timeout=6s"]).await;
    let fixture = app.tenant("acme").await;
    assert_eq!(alive(&app).await["alive"], 0);
    let made = put(&app, "one:7", json!({ "running": 1 })).await;
    assert_eq!(
        (&made["alive"], &made["heartbeat_seconds"]),
        (&json!(true), &json!(2))
    );
    put(
        &app,
        "two",
        json!({ "worker_name": "another", "capacity": 5 }),
    )
    .await;
    let again = put(&app, "one:7", json!({ "running": 2, "draining": true })).await;
    assert_eq!(again["registered_at"], made["registered_at"]);
    assert_eq!(
        alive(&app).await,
        json!({ "alive": 2, "capacity": 7, "running": 2 })
    );
    let list = async |query: &str| {
        let page = app
            .operator()
            .get(&format!("/api/workers{query}"))
            .await
            .expect(200);
        let workers = page["data"].as_array().unwrap().clone();
        workers.iter().map(id).collect::<Vec<_>>()
    };
    assert_eq!(list("").await, ["two", "one:7"]);
    assert_eq!(list("?worker_name=another").await, ["two"]);
    eventually("without heartbeats they are gone", async || {
        (list("?alive=false").await.len() == 2).then_some(())
    })
    .await;
    assert_eq!(list("?alive=true").await, [""; 0]);
    assert_eq!(alive(&app).await["alive"], 0);
    app.worker().delete("/api/workers/two").await.expect(204);
    app.worker()
        .delete("/api/workers/two")
        .await
        .expect_error(404, "not_found");

    // A worker serves all tenants, so a tenant's key registers none.
    let theirs = app.key(&fixture.tenant, &["worker"]).await;
    let refused = theirs.put("/api/workers/three", &worker(json!({}))).await;
    refused.expect_error(403, "missing_scope");
    theirs
        .delete("/api/workers/one:7")
        .await
        .expect_error(403, "missing_scope");
    for (name, more) in [
        ("no%20blanks", json!({})),
        ("four", json!({ "capacity": 0 })),
        ("four", json!({ "running": 10_001 })),
        ("four", json!({ "kinds": [] })),
        (
            "four",
            json!({ "plugins": [{ "name": "openai", "key": "sk-123" }] }),
        ),
    ] {
        let path = format!("/api/workers/{name}");
        let refused = app.worker().put(&path, &worker(more)).await;
        refused.expect_error(422, "validation_failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_and_a_new_session_say_whether_a_worker_is_there() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let availability = async || {
        let path = fixture.at(&format!("agents/{}", fixture.agent));
        let agent = fixture.admin.get(&path).await.expect(200);
        let session = fixture.session(false).await;
        assert_eq!(agent["availability"], session["availability"]);
        agent["availability"].clone()
    };
    assert_eq!(availability().await, "unknown");
    put(&app, "other", json!({ "worker_name": "another" })).await;
    assert_eq!(availability().await, "unknown");
    put(&app, "one", json!({ "running": 2 })).await;
    assert_eq!(availability().await, "full");
    put(&app, "one", json!({ "running": 1, "draining": true })).await;
    assert_eq!(availability().await, "full");
    put(&app, "two", json!({})).await;
    assert_eq!(availability().await, "ready");
    for name in ["one", "two"] {
        let path = format!("/api/workers/{name}");
        app.worker().delete(&path).await.expect(204);
    }
    assert_eq!(availability().await, "none");
    // A worker that does not register gets sessions nevertheless.
    let session = fixture.session(true).await;
    assert!(session["dispatched_at"].is_string(), "{session}");
}

async fn activate(fixture: &Fixture, binding: &str, query: &str) -> super::support::Response {
    let agent = &fixture.agent;
    let path = fixture.at(&format!(
        "agents/{agent}/bindings/{binding}/activate{query}"
    ));
    fixture.admin.act(&path).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_no_live_worker_can_run_is_activated_with_warnings_or_refused() {
    let app = TestApp::start().await;
    let mut fixture = app.tenant("acme").await;
    let versions = fixture.at(&format!("runtime-configs/{}/versions", fixture.config));
    let spec = json!({ "spec": {
        "kind": "pipeline",
        "stt": { "provider": "deepgram", "model": "nova-3" },
        "llm": { "provider": "openai", "model": "gpt-4.1-mini" },
        "tts": { "provider": "openai", "model": "tts-1" },
    } });
    fixture.config_version = id(&fixture.admin.post(&versions, &spec).await.expect(201));
    let binding = fixture.bind().await;
    // No worker has registered: nothing is known to be missing.
    let unknown = activate(&fixture, &binding, "?strict=true")
        .await
        .expect(200);
    assert_eq!(unknown["warnings"], json!([]));

    put(&app, "one", json!({})).await;
    let message = "No live worker of the agent can run the binding: the nearest one lacks the plugin `deepgram`.";
    let warned = activate(&fixture, &binding, "").await.expect(200);
    assert_eq!(warned["active"], true);
    assert_eq!(
        warned["warnings"],
        json!([{ "code": "worker_lacks", "message": message }])
    );
    let next = fixture.bind().await;
    let refused = activate(&fixture, &next, "?strict=true").await;
    let refused = refused.expect_error(409, "no_capable_worker");
    assert_eq!(refused["detail"], message);
    let path = fixture.at(&format!("agents/{}", fixture.agent));
    let agent = fixture.admin.get(&path).await.expect(200);
    assert_eq!(
        agent["active_binding_id"],
        json!(binding),
        "a refusal changes nothing"
    );
    activate(&fixture, &next, "?strict=maybe")
        .await
        .expect_error(422, "validation_failed");

    let plugins =
        json!([{ "name": "openai", "has_key": false }, { "name": "deepgram", "has_key": null }]);
    put(&app, "two", json!({ "plugins": plugins })).await;
    let warned = activate(&fixture, &next, "").await.expect(200);
    let message = warned["warnings"][0]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("the nearest one lacks"),
        "one worker has no plugin, the other no key: {message}"
    );
    let plugins = json!([{ "name": "openai", "has_key": true }, { "name": "deepgram" }]);
    put(&app, "three", json!({ "plugins": plugins })).await;
    let fine = activate(&fixture, &next, "?strict=true").await.expect(200);
    assert_eq!(fine["warnings"], json!([]));
    for name in ["one", "two", "three"] {
        let path = format!("/api/workers/{name}");
        app.worker().delete(&path).await.expect(204);
    }
    let warned = activate(&fixture, &next, "").await.expect(200);
    let message = &warned["warnings"][0]["message"];
    assert_eq!(message, "No worker of the agent is alive.");
}
