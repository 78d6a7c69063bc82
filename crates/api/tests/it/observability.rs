//! What the outside sees of a process: metrics of what has happened, and traces that go on in what it causes.

use std::{collections::BTreeSet, fs};

use regex::Regex;
use serde_json::{Value, json};

use super::support::{
    Client, FakeLiveKit, Fixture, Process, TestApp, Upstream, WORKER_KEY, arguments, deliver_with,
    event, eventually, free_port, make_schema, now,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Metrics in the format of Prometheus.
struct Metrics(String);

impl Metrics {
    async fn read(address: &str) -> Self {
        let response = reqwest::get(format!("http://{address}/metrics")).await;
        Self(response.unwrap().text().await.unwrap())
    }

    /// The value of a metric with these labels.
    fn value(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let of_name = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        let is_it = |line: &&str| labels.iter().all(|label| line.contains(label));
        let line = self.0.lines().filter(of_name).find(is_it)?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Names of all.
    fn names(&self) -> BTreeSet<&str> {
        let types = self
            .0
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|line| line.split(' ').next()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_what_has_happened() {
    let (fake, upstream) = (FakeLiveKit::start(), Upstream::start());
    let schema = make_schema().await;
    let [api, metrics] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let more = [
        format!("--listen={api}"),
        format!("--metrics-listen={metrics}"),
        format!("--livekit-url={}", fake.url),
        "--join-deadline=1s".to_owned(),
        "--dispatch-check=100ms".to_owned(),
        "--outbound-allow=127.0.0.0/8".to_owned(),
        "--address-limit=1".to_owned(),
    ];
    let more: Vec<_> = more.iter().map(|argument| &**argument).collect();
    let mut process = Process::api(&arguments(&schema, &more));
    process.wait_for("\"serving\"");
    let fixture = Fixture::make(&format!("http://{api}"), "acme").await;
    cause_everything(&fixture, &upstream).await;
    // At least that many; none where it is 0.
    let expected: [(&str, &[&str], f64); 22] = [
        (
            "patchbay_session_ended_total",
            &["=\"failed\"", "=\"no_worker\""],
            1.0,
        ),
        ("patchbay_dispatches_total", &["=\"created\""], 2.0),
        ("patchbay_dispatches_total", &["=\"repeated\""], 1.0),
        ("patchbay_dispatches_total", &["=\"lost\""], 1.0),
        ("patchbay_sip_syncs_total", &["=\"synced\""], 1.0),
        (
            "patchbay_search_duration_seconds_count",
            &["=\"keyword\""],
            1.0,
        ),
        (
            "patchbay_tool_call_duration_seconds_count",
            &["=\"http\"", "=\"succeeded\""],
            1.0,
        ),
        ("patchbay_request_replays_total", &[], 1.0),
        (
            "patchbay_request_refusals_total",
            &["=\"rate_limited\""],
            1.0,
        ),
        ("patchbay_webhook_events_total", &["=\"applied\""], 1.0),
        ("patchbay_webhook_lag_seconds_count", &[], 1.0),
        ("patchbay_webhook_pending", &[], 0.0),
        ("patchbay_worker_count", &["=\"patchbay-agent\""], 0.0),
        ("patchbay_worker_count", &["=\"another\""], 1.0),
        ("patchbay_worker_capacity", &["=\"another\""], 5.0),
        ("patchbay_worker_running", &["=\"another\""], 2.0),
        ("patchbay_session_live", &["=\"stopping\""], 0.0),
        ("patchbay_call_live", &["=\"inbound\"", "=\"ringing\""], 0.0),
        ("patchbay_job_dead", &["=\"session\""], 0.0),
        ("patchbay_ingest_queue", &["=\"waiting\""], 0.0),
        ("db_client_connection_max", &[], 8.0),
        ("patchbay_build_info", &["schema=\"20"], 1.0),
    ];
    for (name, labels, least) in expected {
        eventually(&format!("{name} {labels:?}"), async || {
            let read = Metrics::read(&metrics).await;
            read.value(name, labels)
                .filter(|value| *value >= least && (least > 0.0 || *value == 0.0))
        })
        .await;
    }
    let read = Metrics::read(&metrics).await;
    for name in [
        "process_cpu_time_seconds_total",
        "process_memory_usage_bytes",
        "process_open_file_descriptor_count",
        "process_thread_count",
        "process_uptime_seconds",
    ] {
        assert!(
            read.value(name, &[]).is_some_and(|value| value > 0.0),
            "{name}"
        );
    }
    assert!(
        !read.0.contains(&fixture.tenant),
        "no metric names a tenant"
    );
    what_operators_watch_exists(&read);
}

/// Causes what the metrics of the test count.
async fn cause_everything(fixture: &Fixture, upstream: &Upstream) {
    let admin = &fixture.admin;
    let worker = Client::new(&fixture.base, Some(WORKER_KEY));
    let body = json!({
        "worker_name": "another", "version": "1", "kinds": ["echo"], "plugins": [], "capacity": 5, "running": 2,
    });
    worker.put("/api/workers/one", &body).await.expect(200);
    fixture.session(true).await;
    fixture.trunk().await;
    let body = json!({ "query": "anything", "mode": "keyword" });
    admin.post(&fixture.at("search"), &body).await.expect(200);
    let tool = fixture.tool(json!({
        "kind": "http", "function_name": "ping", "description": "Pings.",
        "http": { "method": "GET", "url": format!("{}/ping", upstream.url) },
    }));
    let binding = fixture.bind_tools(&[&tool.await]).await;
    fixture.activate(&binding).await;
    let session = fixture.session(true).await;
    let run = &fixture.runs(&session).await[0];
    let path = format!(
        "sessions/{}/agent-runs/{}/tools/ping",
        session["id"].as_str().unwrap(),
        run["id"].as_str().unwrap()
    );
    let body = json!({ "arguments": {} });
    worker.post(&fixture.at(&path), &body).await.expect(200);
    let keyed = admin.with_header("idempotency-key", "once");
    for _ in 0..2 {
        let body = json!({ "name": "again" });
        keyed.post(&fixture.at("prompts"), &body).await.expect(201);
    }
    let wrong = Client::new(&fixture.base, Some("pb_wrong"));
    wrong.get("/api/whoami").await.expect(401);
    wrong.get("/api/whoami").await.expect(429);
    let event = event("EV_metrics", "room_finished", &session, now(), None);
    deliver_with(&Client::new(&fixture.base, None), &event)
        .await
        .expect(200);
}

/// Dashboards and alerts name no metric that does not exist. Some are only caused by real agents and failures.
fn what_operators_watch_exists(read: &Metrics) {
    const NOT_CAUSED: [&str; 5] = [
        "patchbay_agent_join_duration_seconds",
        "patchbay_call_ended_total",
        "patchbay_ingest_stage_duration_seconds",
        "db_client_connection_timeouts_total",
        // Prometheus' own.
        "up",
    ];
    let known: BTreeSet<_> = read.names().into_iter().chain(NOT_CAUSED).collect();
    let name = Regex::new(r"\b(patchbay|http_server|db_client|process)_[a-z_]+").unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/observability");
    let mut found = 0;
    for file in ["dashboard.json", "alerts.yaml"] {
        let text = fs::read_to_string(format!("{folder}/{file}")).unwrap();
        for expression in expressions(&text) {
            for name in name.find_iter(&without_labels(&expression)) {
                let name = name.as_str();
                let base = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| name.strip_suffix(end));
                let exists = known.contains(name) || base.is_some_and(|base| known.contains(base));
                assert!(exists, "{file} names {name}, which does not exist");
                found += 1;
            }
        }
    }
    assert!(found > 30, "{found} names");
}

/// The queries of a dashboard, or of alert rules.
fn expressions(text: &str) -> Vec<String> {
    match serde_json::from_str::<Value>(text) {
        Ok(dashboard) => {
            let mut found = Vec::new();
            collect(&dashboard, &mut found);
            found
        }
        Err(_) => {
            let expression = Regex::new(r"(?m)^ +expr: ((?:.*\n)(?: {10,}.*\n)*)").unwrap();
            let found = expression.captures_iter(text);
            found.map(|captures| captures[1].to_owned()).collect()
        }
    }
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            found.extend(
                object
                    .get("expr")
                    .and_then(Value::as_str)
                    .map(ToOwned::to_owned),
            );
            object.values().for_each(|value| collect(value, found));
        }
        Value::Array(array) => array.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// A query without what selects and groups: labels look like metrics.
fn without_labels(expression: &str) -> String {
    let labels =
        Regex::new(r"\{[^}]*\}|\b(by|on|without|ignoring|group_left|group_right) *\([^)]*\)")
            .unwrap();
    labels.replace_all(expression, " ").into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_in_dispatches_and_requests_of_tools() {
    let app = TestApp::start_with(&["--outbound-allow=127.0.0.0/8"]).await;
    let (mut fixture, upstream) = (app.tenant("acme").await, Upstream::start());
    let tool = fixture.tool(json!({
        "kind": "http", "function_name": "ping", "description": "Pings.",
        "http": { "method": "GET", "url": format!("{}/ping", upstream.url) },
    }));
    let binding = fixture.bind_tools(&[&tool.await]).await;
    fixture.activate(&binding).await;
    fixture.admin = fixture.admin.with_header("traceparent", TRACEPARENT);
    let session = fixture.session(true).await;
    let room = session["room_name"].as_str().unwrap();
    let dispatch = eventually("it is dispatched", async || {
        let found = app.livekit().list_dispatches(room).await.unwrap();
        found.into_iter().next()
    })
    .await;
    let metadata: Value = serde_json::from_str(&dispatch.metadata).unwrap();
    let traceparent = metadata["traceparent"].as_str().unwrap();
    assert_eq!(traceparent.split('-').nth(1), Some(TRACE));
    let path = format!(
        "sessions/{}/agent-runs/{}/tools/ping",
        session["id"].as_str().unwrap(),
        metadata["agent_run_id"].as_str().unwrap()
    );
    let worker = app.worker().with_header("traceparent", TRACEPARENT);
    let body = json!({ "arguments": {} });
    worker.post(&fixture.at(&path), &body).await.expect(200);
    let asked = &upstream.calls()[0];
    let sent = asked["headers"]["traceparent"].as_str().unwrap();
    assert_eq!(sent.split('-').nth(1), Some(TRACE));
    // A trace of its own is not made up.
    app.worker()
        .post(&fixture.at(&path), &body)
        .await
        .expect(200);
    assert!(upstream.calls()[1]["headers"]["traceparent"].is_null());
}
