//! Prompts and runtime configs with their versions.

use serde_json::json;

use super::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn versions_count_and_are_never_numbered_again() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let versions = fixture.at(&format!("prompts/{}/versions", fixture.prompt));
    let spec = json!({ "spec": { "template": "two" }, "note": "why" });
    let second = fixture.admin.post(&versions, &spec).await;
    let path = second.header("location").to_owned();
    let second = second.expect(201);
    assert_eq!(
        (&second["number"], &second["note"]),
        (&json!(2), &json!("why"))
    );
    fixture.admin.delete(&path).await.expect(204);
    fixture
        .admin
        .get(&path)
        .await
        .expect_error(404, "not_found");
    let third = fixture.admin.post(&versions, &spec).await.expect(201);
    assert_eq!(third["number"], 3);
    assert_eq!(
        third["digest"], second["digest"],
        "equal content, equal digest"
    );
    let digest = second["digest"].as_str().unwrap();
    let found = fixture
        .admin
        .get(&format!("{versions}?digest={digest}"))
        .await
        .expect(200);
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bound_stays() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    for (kind, artifact, version) in [
        ("prompts", &fixture.prompt, &fixture.prompt_version),
        ("runtime-configs", &fixture.config, &fixture.config_version),
    ] {
        let path = fixture.at(&format!("{kind}/{artifact}"));
        let refused = fixture
            .admin
            .delete(&format!("{path}/versions/{version}"))
            .await;
        let refused = refused.expect_error(409, "version_in_use");
        let agent = fixture.at(&format!("agents/{}", fixture.agent));
        let agent = fixture.admin.get(&agent).await.expect(200);
        assert_eq!(
            refused["blocked_by"],
            json!([{ "type": "binding", "id": fixture.binding, "name": agent["name"], "agent_id": agent["id"] }])
        );
        fixture
            .admin
            .delete(&path)
            .await
            .expect_error(409, "version_in_use");
        let usage = fixture
            .admin
            .get(&format!("{path}/usage"))
            .await
            .expect(200);
        let [one] = &usage["data"].as_array().unwrap()[..] else {
            panic!("{usage}")
        };
        assert_eq!(
            (&one["binding_id"], &one["version_id"]),
            (&json!(fixture.binding), &json!(version))
        );
        assert_eq!(
            (&one["agent_name"], &one["active"]),
            (&agent["name"], &json!(true))
        );
        let renamed = fixture
            .admin
            .patch(&path, &json!({ "name": "new name" }))
            .await
            .expect(200);
        assert_eq!(renamed["revision"], 2);
        let unbound = json!({ "name": "unbound" });
        let made = fixture.admin.post(&fixture.at(kind), &unbound).await;
        fixture
            .admin
            .delete(made.header("location"))
            .await
            .expect(204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn specs_are_checked() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let prompts = fixture.at(&format!("prompts/{}/versions", fixture.prompt));
    let configs = fixture.at(&format!("runtime-configs/{}/versions", fixture.config));
    let model = json!({ "provider": "openai", "model": "m" });
    for (path, spec, pointer, code) in [
        (
            &prompts,
            json!({ "template": "{{ a }}" }),
            "/spec/template",
            "undeclared_variable",
        ),
        (
            &prompts,
            json!({ "template": "{% if %}" }),
            "/spec/template",
            "invalid_template",
        ),
        (
            &prompts,
            json!({ "template": "x", "variables": [{ "name": "1" }] }),
            "/spec/variables/0/name",
            "invalid_name",
        ),
        (
            &configs,
            json!({ "kind": "realtime" }),
            "/spec/kind",
            "invalid_value",
        ),
        (
            &configs,
            json!({ "kind": "echo", "stt": { "provider": "openai", "model": "m" } }),
            "/spec/stt",
            "unknown_field",
        ),
        (
            &configs,
            json!({
                "kind": "pipeline", "stt": model, "tts": model,
                "llm": { "provider": "openai", "model": "m", "base_url": "http://10.0.0.5/v1" },
            }),
            "/spec/llm/base_url",
            "base_url_not_allowed",
        ),
        (
            &configs,
            json!({ "kind": "echo", "mood": 1 }),
            "/spec/mood",
            "unknown_field",
        ),
        (
            &configs,
            json!({ "kind": "echo", "limits": { "max_duration_seconds": 0 } }),
            "/spec/limits/max_duration_seconds",
            "out_of_range",
        ),
    ] {
        let answer = fixture.admin.post(path, &json!({ "spec": spec })).await;
        assert_eq!(
            answer.violations(),
            [(pointer.to_owned(), code.to_owned())],
            "{spec}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_versions_ends_early_and_loses_none() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let versions = fixture.at(&format!("prompts/{}/versions", fixture.prompt));
    for n in 0..20 {
        let template = format!("{n}{}", "😀".repeat(59_000));
        let body = json!({ "spec": { "template": template } });
        fixture.admin.post(&versions, &body).await.expect(201);
    }
    let first = format!("{versions}?limit=100");
    let (mut path, mut numbers, mut pages) = (first.clone(), Vec::new(), 0);
    loop {
        let page = fixture.admin.get(&path).await.expect(200);
        let items = page["data"].as_array().unwrap();
        assert!(page.to_string().len() < 5 << 20, "{} items", items.len());
        numbers.extend(items.iter().map(|v| v["number"].as_i64().unwrap()));
        pages += 1;
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("{first}&cursor={cursor}");
    }
    let all: Vec<_> = (1..=21).rev().collect();
    assert_eq!((pages, numbers), (2, all));
    // The audit trail has the whole spec of each.
    let trail = fixture.at("audit-events?limit=100&action=prompt_version.created");
    let page = fixture.admin.get(&trail).await.expect(200);
    let items = page["data"].as_array().unwrap().len();
    assert!(items < 20 && page["next_cursor"].is_string(), "{items}");
}
