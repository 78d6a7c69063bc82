//! The most expensive requests of a tenant, 64 at once: the service stays responsive.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Fixture, TestApp, WORKER_KEY, sign};

/// Maximum latency of `/health` under load. 64 requests that each hold up a thread do so for longer, and it leaves room
/// for other work on the machine.
const MAX_LATENCY: Duration = Duration::from_secs(4);
const AT_ONCE: usize = 64;
const WEBHOOKS: &str = "/api/livekit/webhooks";

/// Requests `/health` on new connections until `end` is set; returns the longest latency.
fn watch(address: SocketAddr, end: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !end.load(Ordering::Relaxed) {
        let started = Instant::now();
        let mut stream = TcpStream::connect(address).unwrap();
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).unwrap();
        let request = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).unwrap();
        // The latency is that of the response, not of the connection's end.
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        longest = longest.max(started.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    longest
}

/// Sends a request 64 times at once, and asserts that `/health` responds in time and that every response has an
/// expected status, or asks for a retry.
async fn keeps_answering(
    app: &TestApp,
    key: &str,
    (what, expected): (&str, u16),
    request: (Method, String, Option<Value>),
) {
    let address: SocketAddr = app.base().trim_start_matches("http://").parse().unwrap();
    let end = Arc::new(AtomicBool::new(false));
    let watcher = std::thread::spawn({
        let end = Arc::clone(&end);
        move || watch(address, &end)
    });
    let (method, path, body) = request;
    let body = body.map(|body| body.to_string());
    let authorization = match &body {
        Some(body) if path == WEBHOOKS => sign(body.as_bytes()),
        _ => format!("Bearer {key}"),
    };
    let client = reqwest::Client::new();
    let started = Instant::now();
    let all = (0..AT_ONCE).map(|_| {
        let mut request = client.request(method.clone(), format!("{}{path}", app.base()));
        request = request
            .header("authorization", &authorization)
            .header("accept-encoding", "gzip");
        if let Some(body) = &body {
            request = request
                .header("content-type", "application/json")
                .body(body.clone());
        }
        async move {
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let bytes = answer.bytes().await.unwrap();
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
            (status, text, bytes.len())
        }
    });
    let answers = futures_util::future::join_all(all).await;
    let took = started.elapsed();
    end.store(true, Ordering::Relaxed);
    let longest = watcher.join().unwrap();
    let (status, text, length) = &answers[0];
    println!(
        "{what}: {AT_ONCE} in {took:.1?}, /health within {longest:.2?}; {status}, {length} bytes, {text:.120}"
    );
    let right = |(status, ..): &&(u16, String, usize)| *status == expected;
    assert!(
        answers.iter().any(|answer| right(&answer)),
        "{what}: {status} {text}"
    );
    for (status, text, _) in answers.iter().filter(|answer| !right(answer)) {
        assert_eq!(*status, 503, "{what}: {text}");
    }
    assert!(longest < MAX_LATENCY, "{what}: /health took {longest:?}");
}

async fn start() -> (TestApp, Fixture) {
    let app = TestApp::start_with(&[
        "--workers=2",
        "--body-timeout=10s",
        "--outbound-allow=127.0.0.0/8",
    ])
    .await;
    let fixture = app.tenant("acme").await;
    (app, fixture)
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies() {
    let (app, fixture) = start().await;
    let agents = fixture.at("agents");
    for (what, body) in [
        (("many numbers", 422), json!({ "name": vec![0; 120_000] })),
        (
            ("many objects", 422),
            json!({ "name": vec![json!({}); 80_000] }),
        ),
        (
            ("many fields", 422),
            Value::Object((0..20_000).map(|n| (format!("f{n}"), json!(1))).collect()),
        ),
        (("escapes", 422), json!({ "name": "\u{1}".repeat(42_000) })),
    ] {
        keeps_answering(
            &app,
            &fixture.key,
            what,
            (Method::POST, agents.clone(), Some(body)),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn templates() {
    let (app, fixture) = start().await;
    let versions = fixture.at(&format!("prompts/{}/versions", fixture.prompt));
    let tags = "{{ a }}".repeat(2_000);
    let deep = format!(
        "{}{}{}",
        "{% for b in a %}".repeat(16),
        "x".repeat(60_000),
        "{% endfor %}".repeat(16)
    );
    let names: Vec<_> = (0..100)
        .map(|n| json!({ "name": format!("a{n}"), "default": "é".repeat(200) }))
        .collect();
    for (what, spec) in [
        (
            ("many tags", 201),
            json!({ "template": tags, "variables": [{ "name": "a" }], "greeting": "{{ a }}".repeat(500) }),
        ),
        (
            ("deep blocks", 201),
            json!({ "template": deep, "variables": [{ "name": "a" }] }),
        ),
        (
            ("a long text", 201),
            json!({ "template": "😀".repeat(50_000), "variables": names }),
        ),
        (
            ("minus signs", 422),
            json!({ "template": format!("{{{{ {}1 }}}}", "-".repeat(60_000)) }),
        ),
    ] {
        keeps_answering(
            &app,
            &fixture.key,
            what,
            (
                Method::POST,
                versions.clone(),
                Some(json!({ "spec": spec })),
            ),
        )
        .await;
    }
    let long = "x".repeat(4_000);
    let costly = "{% for c in [1,2,3,4,5,6,7,8,9] %}".repeat(8)
        + "{{ a | upper | lower | title }}"
        + &"{% endfor %}".repeat(8);
    let spec = json!({ "template": costly, "variables": [{ "name": "a" }] });
    let made = fixture
        .admin
        .post(&versions, &json!({ "spec": spec }))
        .await
        .expect(201);
    let render = format!("{versions}/{}/render", made["id"].as_str().unwrap());
    let body = json!({ "variables": { "a": long } });
    keeps_answering(
        &app,
        &fixture.key,
        ("rendering", 422),
        (Method::POST, render, Some(body)),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_tools() {
    let (app, fixture) = start().await;
    let costly = "{% for c in [1,2,3,4,5,6,7,8,9] %}".repeat(3)
        + "x{% if a in a %}{% endif %}"
        + &"{% endfor %}".repeat(3);
    let versions = fixture.at(&format!("prompts/{}/versions", fixture.prompt));
    let spec = json!({ "template": costly, "variables": [{ "name": "a" }] });
    let prompt = fixture
        .admin
        .post(&versions, &json!({ "spec": spec }))
        .await
        .expect(201);
    // The maximum number of tools of a binding, each with a large schema.
    let properties: serde_json::Map<_, _> = (0..400)
        .map(|n| {
            (
                format!("p{n}"),
                json!({ "type": "string", "description": "x".repeat(80) }),
            )
        })
        .collect();
    let mut tools = Vec::new();
    for n in 0..20 {
        let spec = json!({
            "kind": "client", "function_name": format!("f{n}"), "description": "x", "client": {},
            "parameters": { "type": "object", "properties": properties },
        });
        tools.push(fixture.tool(spec).await);
    }
    let body = json!({ "prompt_version_id": prompt["id"], "runtime_config_version_id": fixture.config_version, "tool_version_ids": tools });
    let bindings = fixture.at(&format!("agents/{}/bindings", fixture.agent));
    let binding = fixture.admin.post(&bindings, &body).await.expect(201);
    fixture.activate(binding["id"].as_str().unwrap()).await;
    let body = json!({ "agent_id": fixture.agent, "variables": { "a": "x".repeat(100) }, "metadata": { "m": "x".repeat(16_000) } });
    keeps_answering(
        &app,
        &fixture.key,
        ("sessions", 201),
        (Method::POST, fixture.at("sessions"), Some(body)),
    )
    .await;
    let list = fixture.at("sessions?limit=100");
    keeps_answering(
        &app,
        &fixture.key,
        ("a page of sessions", 200),
        (Method::GET, list, None),
    )
    .await;
    let list = fixture.at("audit-events?limit=100");
    keeps_answering(
        &app,
        &fixture.key,
        ("a page of audit events", 200),
        (Method::GET, list, None),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_to_compute_holds_no_connection() {
    let (app, fixture) = start().await;
    let other = app.tenant("globex").await;
    let costly = "{% for c in [1,2,3,4,5,6,7,8,9] %}".repeat(4)
        + "{% if 'q' in a %}x{% endif %}"
        + &"{% endfor %}".repeat(4);
    let versions = fixture.at(&format!("prompts/{}/versions", fixture.prompt));
    let spec = json!({ "template": costly, "variables": [{ "name": "a" }] });
    let body = json!({ "spec": spec });
    let prompt = fixture.admin.post(&versions, &body).await.expect(201);
    let body = json!({ "prompt_version_id": prompt["id"], "runtime_config_version_id": fixture.config_version });
    let bindings = fixture.at(&format!("agents/{}/bindings", fixture.agent));
    let binding = fixture.admin.post(&bindings, &body).await.expect(201);
    let body = json!({
        "agent_id": fixture.agent, "binding_id": binding["id"], "variables": { "a": "x".repeat(100) },
    });
    let path = fixture.at("sessions");
    // The first response means that all were admitted, and now wait for each other.
    let begun = tokio::sync::Notify::new();
    let sessions = (0..4 * AT_ONCE).map(async |_| {
        let answer = fixture.admin.post(&path, &body).await;
        begun.notify_one();
        answer
    });
    let sessions = futures_util::future::join_all(sessions);
    let agents = other.at("agents");
    let others = async {
        begun.notified().await;
        for _ in 0..10 {
            other.admin.get(&agents).await.expect(200);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let (sessions, ()) = futures_util::future::join(sessions, others).await;
    for session in sessions {
        let waited = "Too much work is waiting; try again in a moment.";
        let is_fine = session.status == 201 || session.body["detail"] == waited;
        assert!(is_fine, "{session:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas() {
    let (app, fixture) = start().await;
    let tool = json!({ "name": "busy" });
    let tool = fixture
        .admin
        .post(&fixture.at("tools"), &tool)
        .await
        .expect(201);
    let versions = fixture.at(&format!("tools/{}/versions", tool["id"].as_str().unwrap()));
    let spec = |parameters: Value| json!({ "spec": { "kind": "http", "function_name": "f", "description": "f", "http": { "url": "http://127.0.0.1:9/" }, "parameters": parameters } });
    let classes: serde_json::Map<_, _> = (0..60)
        .map(|n| {
            (
                format!("p{n}"),
                json!({ "pattern": format!("(?i)\\pL{{200}}{n}") }),
            )
        })
        .collect();
    let patterns: serde_json::Map<_, _> = (0..50)
        .map(|n| {
            (
                format!("p{n}"),
                json!({ "pattern": format!("(?i)[ab]*a[ab]{{{}}}c", 100 + n) }),
            )
        })
        .collect();
    let alternatives: Vec<_> = (0..1_000)
        .map(|n| json!({ "items": { "maximum": -n } }))
        .collect();
    let wide: serde_json::Map<_, _> = (0..1_600)
        .map(|n| (format!("p{n}"), json!({ "type": "string" })))
        .collect();
    for (what, parameters) in [
        (
            ("classes", 422),
            json!({ "type": "object", "properties": classes }),
        ),
        (
            ("patterns", 201),
            json!({ "type": "object", "properties": patterns }),
        ),
        (
            ("alternatives", 201),
            json!({ "type": "object", "properties": { "a": { "anyOf": alternatives } } }),
        ),
        (
            ("properties", 201),
            json!({ "type": "object", "properties": wide }),
        ),
    ] {
        keeps_answering(
            &app,
            &fixture.key,
            what,
            (Method::POST, versions.clone(), Some(spec(parameters))),
        )
        .await;
    }
    let arguments = [
        (
            json!({ "type": "object", "properties": { "a": { "anyOf": alternatives[..150] } } }),
            json!({ "a": vec![1; 800] }),
        ),
        (
            json!({ "type": "object", "properties": patterns, "additionalProperties": false }),
            json!({ "p0": "ab".repeat(2_000), "p1": "ab".repeat(500) }),
        ),
        (
            json!({ "type": "object", "properties": { "a": { "enum": vec!["x"; 400] } } }),
            json!({ "a": "x".repeat(60_000) }),
        ),
    ];
    for (parameters, arguments) in arguments {
        let made = fixture
            .admin
            .post(&versions, &spec(parameters))
            .await
            .expect(201);
        let test = format!("{versions}/{}/test", made["id"].as_str().unwrap());
        keeps_answering(
            &app,
            &fixture.key,
            ("arguments", 422),
            (Method::POST, test, Some(json!({ "arguments": arguments }))),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages() {
    let (app, fixture) = start().await;
    let metadata = json!({ "m": vec![0; 8_000] });
    for n in 0..50 {
        let body = json!({ "name": format!("agent {n}"), "metadata": metadata });
        fixture
            .admin
            .post(&fixture.at("agents"), &body)
            .await
            .expect(201);
    }
    keeps_answering(
        &app,
        &fixture.key,
        ("agents", 200),
        (Method::GET, fixture.at("agents?limit=100"), None),
    )
    .await;
    let versions = fixture.at(&format!("prompts/{}/versions", fixture.prompt));
    for n in 0..16 {
        let body = json!({ "spec": { "template": format!("{n}{}", "😀".repeat(60_000)) } });
        fixture.admin.post(&versions, &body).await.expect(201);
    }
    keeps_answering(
        &app,
        &fixture.key,
        ("versions", 200),
        (Method::GET, format!("{versions}?limit=100"), None),
    )
    .await;
    keeps_answering(
        &app,
        &fixture.key,
        ("audit events", 200),
        (Method::GET, fixture.at("audit-events?limit=100"), None),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_zones_secrets_and_searches() {
    let (app, fixture) = start().await;
    let mapping = fixture.mapping("+4930123456").await;
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let spans: Vec<_> = (0..50)
        .map(|n| json!({ "days": days, "from": format!("00:{n:02}"), "to": format!("00:{n:02}") }))
        .collect();
    let hours =
        json!({ "hours": { "time_zone": "America/Argentina/ComodRivadavia", "open": spans } });
    let path = fixture.at(&format!("inbound-mappings/{mapping}"));
    fixture.admin.patch(&path, &hours).await.expect(200);
    let resolve = json!({ "number": "+4930123456" });
    let metrics = "metrics?bucket=hour&from=2026-01-01T00:00:00Z&to=2026-02-10T00:00:00Z&time_zone=America/Santiago";
    let secret = json!({ "value": "😀".repeat(2_000), "hosts": ["a.example"] });
    let path_of_secret = fixture.at("secrets/BUSY");
    let made = fixture.admin.put(&path_of_secret, &secret).await;
    made.expect(201);
    let merge: serde_json::Map<_, _> = (0..1_500).map(|n| (format!("f{n}"), json!({}))).collect();
    for (what, method, path, body) in [
        (("hours", 200), Method::PATCH, path, Some(hours)),
        (
            ("resolve", 200),
            Method::POST,
            fixture.at("inbound-mappings/resolve"),
            Some(resolve),
        ),
        (("time zones", 200), Method::GET, fixture.at(metrics), None),
        (("sealing", 200), Method::PUT, path_of_secret, Some(secret)),
        (
            ("merging", 200),
            Method::PATCH,
            fixture.at(&format!("agents/{}", fixture.agent)),
            Some(json!({ "metadata": merge })),
        ),
    ] {
        keeps_answering(&app, &fixture.key, what, (method, path, body)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transcripts_and_webhooks() {
    let (app, fixture) = start().await;
    let session = fixture.session(true).await;
    let path = fixture.at(&format!(
        "sessions/{}/transcript",
        session["id"].as_str().unwrap()
    ));
    let turns: Vec<_> = (0..100)
        .map(|n| json!({ "id": n.to_string(), "role": "user", "text": "😀".repeat(600), "started_at": "2026-11-23T20:00:03Z" }))
        .collect();
    keeps_answering(
        &app,
        WORKER_KEY,
        ("transcript", 200),
        (Method::POST, path, Some(json!({ "turns": turns }))),
    )
    .await;
    let nested = json!({
        "id": "EV_busy", "event": "room_started", "createdAt": "1800000000",
        "room": { "name": "busy", "numParticipants": 1, "x": vec![json!({ "a": [0, 1] }); 18_000] },
    });
    keeps_answering(
        &app,
        &fixture.key,
        ("webhook", 200),
        (Method::POST, WEBHOOKS.to_owned(), Some(nested)),
    )
    .await;
}
