//! Bindings and their activation.

use futures_util::future::join_all;
use serde_json::json;

use super::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn activation_is_history_and_rollback() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let second = fixture.bind().await;
    fixture.activate(&second).await;
    fixture.activate(&second).await;
    fixture.activate(&fixture.binding).await;
    let bindings = fixture.at(&format!("agents/{}/bindings", fixture.agent));
    let refused = fixture
        .admin
        .delete(&format!("{bindings}/{}", fixture.binding))
        .await;
    let refused = refused.expect_error(409, "binding_active");
    assert_eq!(refused["blocked_by"][0]["id"], fixture.agent);
    fixture
        .admin
        .delete(&format!("{bindings}/{second}"))
        .await
        .expect(204);
    let history = fixture.at(&format!("agents/{}/activations", fixture.agent));
    let history = fixture.admin.get(&history).await.expect(200);
    let numbers: Vec<_> = history["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["binding_number"].clone())
        .collect();
    assert_eq!(numbers, [json!(1), json!(2), json!(1)]);
    let third = fixture.bind().await;
    let third = fixture
        .admin
        .get(&format!("{bindings}/{third}"))
        .await
        .expect(200);
    assert_eq!(
        (&third["number"], &third["active"]),
        (&json!(3), &json!(false))
    );
    // What is pinned has its names, in a list too.
    let listed = fixture.admin.get(&bindings).await.expect(200);
    assert_eq!(listed["data"][0]["pins"], third["pins"]);
    let pins = third["pins"].as_array().unwrap();
    let of = |kind: &str| pins.iter().find(|pin| pin["kind"] == kind).unwrap();
    let prompt = fixture.at(&format!("prompts/{}", fixture.prompt));
    let prompt = fixture.admin.get(&prompt).await.expect(200);
    let (pin, version) = (of("prompt"), &third["prompt_version_id"]);
    assert_eq!((&pin["id"], &pin["name"]), (&prompt["id"], &prompt["name"]));
    assert_eq!((&pin["version_id"], &pin["number"]), (version, &json!(1)));
    assert_eq!(of("runtime_config")["id"], fixture.config);
    let usage = fixture.at(&format!("prompts/{}/usage", fixture.prompt));
    let usage = fixture.admin.get(&usage).await.expect(200);
    let uses = usage["data"].as_array().unwrap().iter();
    let uses: Vec<_> = uses
        .map(|one| (one["binding_number"].clone(), one["active"].clone()))
        .collect();
    let active = |number: i32, active: bool| (json!(number), json!(active));
    assert_eq!(uses, [active(3, false), active(1, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_activations_leave_one_active() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let mut bindings = vec![fixture.binding.clone()];
    for _ in 0..4 {
        bindings.push(fixture.bind().await);
    }
    join_all((0..50).map(|number| fixture.activate(&bindings[number % bindings.len()]))).await;
    let path = fixture.at(&format!("agents/{}/bindings", fixture.agent));
    let listed = fixture.admin.get(&path).await.expect(200);
    let active: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|b| b["active"] == true)
        .collect();
    assert_eq!(active.len(), 1);
    let history = fixture.at(&format!("agents/{}/activations?limit=1", fixture.agent));
    let history = fixture.admin.get(&history).await.expect(200);
    assert_eq!(history["data"][0]["binding_id"], active[0]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_the_wrong_kind_is_not_found() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let path = fixture.at(&format!("agents/{}/bindings", fixture.agent));
    let swapped = json!({
        "prompt_version_id": fixture.config_version,
        "runtime_config_version_id": fixture.prompt_version,
    });
    let refused = fixture.admin.post(&path, &swapped).await;
    let unknown = ("/prompt_version_id".into(), "unknown_reference".into());
    assert_eq!(refused.violations(), [unknown]);
    let stale = fixture.admin.with_header("if-match", "\"1\"");
    let activate = format!("{path}/{}/activate", fixture.binding);
    stale
        .act(&activate)
        .await
        .expect_error(412, "precondition_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_binding_pins_is_not_too_much_for_a_worker() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let long = "x".repeat(60_000);
    let large = |n: usize| {
        let parameters = json!({ "type": "object", "description": long });
        json!({ "kind": "client", "function_name": format!("f{n}"), "description": "x", "client": {}, "parameters": parameters })
    };
    let mut tools = Vec::new();
    for n in 0..35 {
        tools.push(fixture.tool(large(n)).await);
    }
    let path = fixture.at(&format!("agents/{}/bindings", fixture.agent));
    let mut body = json!({
        "prompt_version_id": fixture.prompt_version,
        "runtime_config_version_id": fixture.config_version,
        "tool_version_ids": tools,
    });
    let refused = fixture.admin.post(&path, &body).await.violations();
    assert_eq!(refused, [("".into(), "too_large".into())]);
    body["tool_version_ids"] = json!(tools[..30]);
    fixture.admin.post(&path, &body).await.expect(201);
}
