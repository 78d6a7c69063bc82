//! Tools of a real MCP server.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Fixture, Process, TestApp, Upstream, environment, free_port};

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/support/mcp_server.py"
);
const TOKEN: &str = "tok-very-secret-4711";

fn start(mode: &str) -> (Process, String) {
    let port = free_port();
    let mut server = Process::start("mcp", environment("PYTHON"), |command| {
        command.args([SCRIPT, &port.to_string(), mode]);
    });
    server.wait_for_port(port);
    (server, format!("http://127.0.0.1:{port}/mcp"))
}

/// Tests a tool of the MCP server with these arguments.
async fn call(fixture: &Fixture, url: &str, name: &str, arguments: Value, headers: Value) -> Value {
    // Only what does not answer is to take too long.
    let hangs = name == "sleep" || url.ends_with("/never");
    let timeout = if hangs { 2 } else { 30 };
    let spec = json!({
        "kind": "mcp", "function_name": format!("{name}_{}", fixture.next()), "description": "A tool.",
        "parameters": { "type": "object" },
        "mcp": { "url": url, "tool_name": name, "headers": headers, "timeout_seconds": timeout },
    });
    let version = fixture.tool(spec).await;
    let tools = fixture
        .admin
        .get(&fixture.at("tools?limit=1"))
        .await
        .expect(200);
    let tool = tools["data"][0]["id"].as_str().unwrap();
    let path = fixture.at(&format!("tools/{tool}/versions/{version}/test"));
    fixture
        .admin
        .post(&path, &json!({ "arguments": arguments }))
        .await
        .expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_of_an_mcp_server_is_called() {
    let app = TestApp::start_with(&["--outbound-allow=127.0.0.0/8"]).await;
    let fixture = app.tenant("acme").await;
    let secret = json!({ "value": TOKEN, "hosts": ["127.0.0.1"] });
    fixture
        .admin
        .put(&fixture.at("secrets/MCP"), &secret)
        .await
        .expect(201);
    for mode in ["stateful", "stateless"] {
        let (_server, url) = start(mode);
        let answer = call(
            &fixture,
            &url,
            "find_order",
            json!({ "number": "A-17" }),
            json!({}),
        )
        .await;
        assert_eq!(answer["status"], "succeeded", "{mode}: {answer}");
        assert_eq!(
            answer["result"],
            json!({ "number": "A-17", "state": "sent" }),
            "{mode}"
        );
        let headers = json!({ "authorization": "Bearer {{ secrets.MCP }}" });
        let answer = call(&fixture, &url, "whoami", json!({}), headers).await;
        assert!(
            answer.to_string().contains("Bearer [secret]"),
            "{mode}: {answer}"
        );
        assert!(!answer.to_string().contains(TOKEN), "{mode}: {answer}");
        let answer = call(&fixture, &url, "fail", json!({}), json!({})).await;
        assert_eq!(
            (&answer["status"], &answer["error"]["code"]),
            (&json!("failed"), &json!("tool_error")),
            "{mode}"
        );
        assert!(
            answer["result"]
                .to_string()
                .contains("Error executing tool"),
            "{mode}: {answer}"
        );
        let answer = call(&fixture, &url, "sleep", json!({ "seconds": 20 }), json!({})).await;
        assert_eq!(answer["error"]["code"], "timeout", "{mode}: {answer}");
        let answer = call(&fixture, &url, "nothing", json!({}), json!({})).await;
        assert_eq!(answer["status"], "failed", "{mode}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_mcp_server_is_told_apart() {
    let app = TestApp::start_with(&["--outbound-allow=127.0.0.0/8"]).await;
    let fixture = app.tenant("acme").await;
    let upstream = Upstream::start();
    for (path, code) in [
        ("missing", "mcp_error"),
        ("other", "mcp_error"),
        ("big", "answer_too_large"),
        ("never", "timeout"),
        ("elsewhere", "address_refused"),
    ] {
        let started = std::time::Instant::now();
        let url = format!("{}/{path}", upstream.url);
        let answer = call(&fixture, &url, "t", json!({}), json!({})).await;
        assert_eq!(answer["error"]["code"], code, "{path}: {answer}");
        assert!(started.elapsed() < Duration::from_secs(20), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_echoes_a_secret_in_its_error_tells_nobody() {
    let app = TestApp::start_with(&["--outbound-allow=127.0.0.0/8"]).await;
    let fixture = app.tenant("acme").await;
    let secret = json!({ "value": TOKEN, "hosts": ["127.0.0.1"] });
    let path = fixture.at("secrets/MCP");
    fixture.admin.put(&path, &secret).await.expect(201);
    let url = format!("{}/rpc-error", Upstream::start().url);
    let headers = json!({ "authorization": "Bearer {{ secrets.MCP }}" });
    let answer = call(&fixture, &url, "t", json!({}), headers).await;
    assert_eq!(answer["error"]["code"], "mcp_error", "{answer}");
    assert!(!answer.to_string().contains(TOKEN), "{answer}");
    assert!(answer.to_string().contains("[secret]"), "{answer}");
}
