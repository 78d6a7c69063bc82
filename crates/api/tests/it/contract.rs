//! The HTTP contract: every error is a problem document, JSON is strict, headers are right.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use diesel_async::SimpleAsyncConnection as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{ORIGIN, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_problems() {
    let app = TestApp::start().await;
    app.anonymous()
        .get("/nowhere")
        .await
        .expect_error(404, "not_found");
    app.anonymous()
        .get("/api/tenants/x/nothing")
        .await
        .expect_error(404, "not_found");
    let refused = app.anonymous().send(Method::PUT, "/health", None).await;
    assert_eq!(refused.header("allow"), "GET, HEAD, OPTIONS");
    refused.expect_error(405, "method_not_allowed");
    assert_eq!(
        app.anonymous()
            .send(Method::HEAD, "/health", None)
            .await
            .status,
        200
    );
    let options = app
        .anonymous()
        .send(Method::OPTIONS, "/api/tenants", None)
        .await;
    assert_eq!(
        (options.status.as_u16(), options.header("allow")),
        (204, "POST, GET, HEAD, OPTIONS")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_strict() {
    let app = TestApp::start().await;
    let send = async |body: &str| {
        let body = Some(body.as_bytes().to_vec());
        app.operator()
            .send(Method::POST, "/api/tenants", body)
            .await
    };
    send("{").await.expect_error(400, "invalid_json");
    send("").await.expect_error(400, "invalid_json");
    for (body, pointer, code) in [
        (r#"["acme", "Acme"]"#, "", "not_an_object"),
        (
            r#"{"slug": "acme", "name": "Acme", "color": 1}"#,
            "/color",
            "unknown_field",
        ),
        (
            r#"{"slug": "acme", "name": "Acme", "a`, expected `/~b": 1}"#,
            "/a`, expected `~1~0b",
            "unknown_field",
        ),
        (
            r#"{"slug": "acme", "name": "x", "a/~b": "\u0000"}"#,
            "/a~1~0b",
            "control_character",
        ),
        (r#"{"slug": "acme"}"#, "/name", "missing_field"),
        (r#"{"slug": "acme", "name": 5}"#, "/name", "invalid_type"),
        (r#"{"slug": "acme", "name": ""}"#, "/name", "too_short"),
        (r#"{"slug": "Acme", "name": "x"}"#, "/slug", "invalid_slug"),
        (
            r#"{"slug": "acme", "name": "a\u0000b"}"#,
            "/name",
            "control_character",
        ),
    ] {
        let answer = send(body).await;
        assert_eq!(
            answer.violations(),
            [(pointer.to_owned(), code.to_owned())],
            "{body}"
        );
        answer.expect_error(422, "validation_failed");
    }
    // Everything that is wrong is named at once, in words that are not a parser's.
    let several = send(r#"{"slug": "A", "name": 5, "nope": 1, "settings": []}"#).await;
    let mut found = several.violations();
    found.sort();
    let pointers: Vec<_> = found.iter().map(|(pointer, _)| &**pointer).collect();
    assert_eq!(pointers, ["/name", "/nope", "/settings", "/slug"]);
    let deep = format!(
        r#"{{"slug":"acme","name":"x","settings":{}1{}}}"#,
        r#"{"a":"#.repeat(40),
        "}".repeat(40)
    );
    assert_eq!(send(&deep).await.violations()[0].1, "too_deep");
    let large = format!(r#"{{"slug":"acme","name":"{}"}}"#, "x".repeat(300_000));
    send(&large).await.expect_error(413, "body_too_large");
    let plain = app.operator().with_header("content-type", "text/plain");
    plain
        .post("/api/tenants", &json!({}))
        .await
        .expect_error(415, "unsupported_media_type");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_checked_and_the_scheme_is_named() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    for key in ["", "x", "pb_x_y", "pb_0199a2f07c117a549d4e3b1f8f0f2f10_00"] {
        let refused = app.with_key(key).get("/api/whoami").await;
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
        refused.expect_error(401, "invalid_key");
    }
    let me = fixture.admin.get("/api/whoami").await.expect(200);
    assert_eq!(
        (&me["kind"], &me["tenant_id"]),
        (&json!("api_key"), &json!(fixture.tenant))
    );
    let operator = app.operator().get("/api/whoami").await.expect(200);
    assert_eq!(
        (&operator["kind"], &operator["tenant_id"]),
        (&json!("operator"), &Value::Null)
    );
    // Every key may read its own identity.
    for scope in patchbay_domain::Scope::grantable() {
        let one = app.key(&fixture.tenant, &[scope.as_str()]).await;
        one.get("/api/whoami").await.expect(200);
    }
    // The operator's key may read a tenant and its keys, and nothing else of it.
    app.operator()
        .get(&fixture.at("agents"))
        .await
        .expect_error(403, "missing_scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_cut_off() {
    let app = TestApp::start().await;
    let address = app.server.address;
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let key = "operator-key-of-the-test-installation";
        let head = format!(
            "POST /api/tenants HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("body_timeout"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_too_long_is_answered() {
    let app = TestApp::start_with(&["--request-timeout=3s"]).await;
    let fixture = app.tenant("acme").await;
    let mut owner = app.connect("DATABASE_OWNER_URL").await;
    let lock = "BEGIN; LOCK TABLE agents IN ACCESS EXCLUSIVE MODE";
    owner.batch_execute(lock).await.unwrap();
    let late = fixture.admin.get(&fixture.at("agents")).await;
    assert_eq!(late.header("retry-after"), "1");
    late.expect_error(503, "unavailable");
    owner.batch_execute("ROLLBACK").await.unwrap();
    fixture.admin.get(&fixture.at("agents")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_ids_are_taken_up_if_well_formed() {
    let app = TestApp::start().await;
    let given = app.anonymous().with_header("x-request-id", "my.id-1");
    let answer = given.get("/api/whoami").await;
    assert_eq!(answer.header("x-request-id"), "my.id-1");
    assert_eq!(answer.body["request_id"], "my.id-1");
    let wrong = app.anonymous().with_header("x-request-id", "two words");
    assert_ne!(
        wrong.get("/health").await.header("x-request-id"),
        "two words"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_security_headers() {
    let app = TestApp::start().await;
    let answer = app.anonymous().get("/health").await;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), value);
    }
}

/// That every error has the header too is asserted by the client of all tests.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_allowed_origins_may_read_responses() {
    let app = TestApp::start_with(&[&format!("--cors-origins={ORIGIN},http://localhost:*")]).await;
    let answer = app.anonymous().get("/api/whoami").await;
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    let readable = answer.header("access-control-expose-headers");
    assert!(readable.contains("etag") && readable.contains("retry-after"));
    for (origin, allowed) in [
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://localhost.evil.example", ""),
        ("https://evil.example", ""),
        ("null", ""),
    ] {
        let page = app.anonymous().with_header("origin", origin);
        let answer = page.get("/api/whoami").await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        assert_eq!(answer.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_say_what_is_allowed() {
    let app = TestApp::start().await;
    let preflight = async |method: &str, headers: &str| {
        let asked = app
            .anonymous()
            .with_header("access-control-request-method", method)
            .with_header("access-control-request-headers", headers);
        asked.preflight("/api/tenants").await
    };
    let sent = "authorization,content-type,if-match,idempotency-key,prefer,traceparent,tracestate";
    let (status, headers, _) = preflight("PATCH", sent).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["access-control-allow-origin"], ORIGIN);
    for (method, headers, why) in [
        ("TRACE", "prefer", "Requested method is not allowed"),
        (
            "GET",
            "x-other",
            "One or more request headers are not allowed",
        ),
    ] {
        let (status, _, text) = preflight(method, headers).await;
        assert_eq!((status, &*text), (StatusCode::BAD_REQUEST, why));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_revision_is_not_sent_again() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let path = fixture.at(&format!("agents/{}", fixture.agent));
    let first = fixture.admin.get(&path).await;
    let etag = first.header("etag").to_owned();
    for known in [&*etag, &format!("\"0\", W/{etag}"), "*"] {
        let again = fixture.admin.with_header("if-none-match", known);
        let again = again.get(&path).await;
        assert_eq!((again.header("etag"), &again.body), (&*etag, &Value::Null));
        again.expect(304);
    }
    let other = fixture.admin.with_header("if-none-match", "\"11\"");
    other.get(&path).await.expect(200);
    let change = fixture.admin.with_header("if-none-match", &etag);
    let changed = change.patch(&path, &json!({ "description": "new" })).await;
    changed.expect(200);
    change.get(&path).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_windows_without_gaps() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    for number in 0..6 {
        let body = json!({ "name": format!("agent {number}") });
        fixture
            .admin
            .post(&fixture.at("agents"), &body)
            .await
            .expect(201);
    }
    let mut names = Vec::new();
    let mut path = fixture.at("agents?limit=3");
    loop {
        let page = fixture.admin.get(&path).await.expect(200);
        let data = page["data"].as_array().unwrap();
        names.extend(
            data.iter()
                .map(|agent| agent["name"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(cursor) => path = fixture.at(&format!("agents?limit=3&cursor={cursor}")),
            None => break,
        }
    }
    assert_eq!(
        names,
        [
            "agent 5", "agent 4", "agent 3", "agent 2", "agent 1", "agent 0", "a"
        ]
    );
    for wrong in [
        "limit=0",
        "limit=101",
        "limit=x",
        "cursor=x",
        "cursor=0199A2F0-7C11-7A54-9D4E-3B1F8F0F2F10",
        "cursor=0199a2f07c117a549d4e3b1f8f0f2f10",
        "colour=red",
        "name=a&name=b",
        "limit=1&limit=2",
        "cursor=0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10&cursor=0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10",
    ] {
        let path = fixture.at(&format!("agents?{wrong}"));
        fixture
            .admin
            .get(&path)
            .await
            .expect_error(422, "validation_failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_is_decided_before_anything_else_is_looked_at() {
    let app = TestApp::start().await;
    let (ours, theirs) = (app.tenant("ours").await, app.tenant("theirs").await);
    let reader = app.key(&ours.tenant, &["audit:read"]).await;
    let path = ours.at("agents");
    let malformed = || Some(b"{".to_vec());
    let send = async |client: &super::support::Client| {
        client
            .send(Method::POST, &path, malformed())
            .await
            .status
            .as_u16()
    };
    assert_eq!(send(&app.anonymous()).await, 401);
    assert_eq!(send(&theirs.admin).await, 404);
    assert_eq!(send(&reader).await, 403);
    assert_eq!(send(&ours.admin).await, 400);
    reader
        .get(&ours.at("agents?limit=0"))
        .await
        .expect_error(403, "missing_scope");
    reader
        .get(&ours.at("agents/not-an-id"))
        .await
        .expect_error(403, "missing_scope");
}
