//! Liveness, readiness, and the served OpenAPI document.

use serde_json::json;

use super::support::{TestApp, document};

#[tokio::test(flavor = "multi_thread")]
async fn is_alive_and_ready() {
    let app = TestApp::start().await;
    let health = app.anonymous().get("/health").await.expect(200);
    assert_eq!(health["status"], "ok");
    let ready = app.anonymous().get("/health/ready").await.expect(200);
    let names: Vec<_> = ready["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["name"])
        .collect();
    assert_eq!(
        names,
        [
            "postgresql",
            "migrations",
            "livekit",
            "object_store",
            "background"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn says_which_dependency_is_down() {
    let app = TestApp::start_with(&["--livekit-url=http://127.0.0.1:9"]).await;
    app.anonymous().get("/health").await.expect(200);
    let ready = app.anonymous().get("/health/ready").await.expect(503);
    let livekit = &ready["checks"][2];
    assert_eq!(livekit["status"], "down");
    assert!(
        livekit["error"]["message"]
            .as_str()
            .unwrap()
            .contains("in the log"),
        "{livekit}"
    );
    assert_eq!(ready["checks"][0]["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_its_document_and_a_page_for_it() {
    let app = TestApp::start().await;
    let served = app.anonymous().get("/openapi.json").await;
    assert_eq!(&served.expect(200), document());
    let page = app.anonymous().get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    let policy = page.header("content-security-policy").to_owned();
    assert!(
        policy.contains("script-src 'self';"),
        "no other's scripts: {policy}"
    );
    for (script, word) in [
        ("/docs/start.js", "createApiReference"),
        ("/docs/samples.js", "withSamples"),
        ("/docs/scalar.js", "createApiReference"),
    ] {
        let answer = reqwest::get(format!("{}{script}", app.base()))
            .await
            .unwrap();
        assert_eq!(answer.headers()["content-type"], "text/javascript");
        let text = answer.text().await.unwrap();
        assert!(text.contains(word), "{script}");
    }
    let client = reqwest::Client::new();
    let request = client.get(format!("{}/docs/scalar.js", app.base()));
    let compressed = request
        .header("accept-encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(compressed.headers()["content-encoding"], "gzip");
    let bytes = compressed.bytes().await.unwrap();
    assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < 3_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_fails_first_when_the_process_ends() {
    let app = TestApp::start().await;
    app.server
        .app
        .draining
        .store(true, std::sync::atomic::Ordering::Relaxed);
    app.anonymous().get("/health/ready").await.expect(503);
    app.anonymous().get("/health").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_pool_is_503_and_no_hang() {
    let more = ["--database-pool-size=1", "--database-pool-wait=200ms"];
    let app = TestApp::start_with(&more).await;
    let held = loop {
        if let Ok(held) = app.server.app.service.db.connection().await {
            break held;
        }
    };
    let body = json!({ "slug": "acme", "name": "Acme" });
    let refused = app.operator().post("/api/tenants", &body).await;
    assert_eq!(refused.header("retry-after"), "1");
    refused.expect_error(503, "unavailable");
    drop(held);
}
