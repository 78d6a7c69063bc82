//! Filters of lists, where something is used, and changes of many things at once.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::{Value, json};

use super::support::{Fixture, TestApp, id};

/// The ids on a list's first page.
async fn found(fixture: &Fixture, path: &str) -> Vec<String> {
    let page = fixture.admin.get(&fixture.at(path)).await.expect(200);
    page["data"].as_array().unwrap().iter().map(id).collect()
}

async fn session_with(fixture: &Fixture, metadata: Value) -> String {
    let body = json!({
        "agent_id": fixture.agent, "variables": { "company": "Acme" }, "metadata": metadata,
    });
    let made = fixture.admin.post(&fixture.at("sessions"), &body).await;
    id(&made.expect(201))
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_found_by_what_they_ran_and_by_their_metadata() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let first = session_with(&fixture, json!({ "order": "4711", "vip": true })).await;
    let second = session_with(&fixture, json!({ "order": 4711 })).await;
    let without_tools = fixture.bind_tools(&[]).await;
    fixture.activate(&without_tools).await;
    let third = session_with(&fixture, json!({})).await;
    let all = [&third, &second, &first];
    let Fixture {
        prompt_version,
        config_version,
        tool_version,
        tool,
        ..
    } = &fixture;
    for (filter, expected) in [
        (format!("prompt_version_id={prompt_version}"), &all[..]),
        (
            format!("runtime_config_version_id={config_version}"),
            &all[..],
        ),
        (format!("prompt_version_id={config_version}"), &[]),
        (format!("runtime_config_version_id={prompt_version}"), &[]),
        (format!("tool_version_id={tool_version}"), &all[1..]),
        (format!("tool_version_id={tool}"), &[]),
        (
            "metadata_key=order&metadata_value=4711".to_owned(),
            &all[1..],
        ),
        ("metadata_key=vip&metadata_value=true".to_owned(), &all[2..]),
        ("metadata_key=vip&metadata_value=false".to_owned(), &[]),
        ("metadata_key=order&metadata_value=471".to_owned(), &[]),
    ] {
        let sessions = found(&fixture, &format!("sessions?{filter}")).await;
        assert_eq!(sessions.iter().collect::<Vec<_>>(), expected, "{filter}");
    }
    for (filter, pointer) in [
        ("metadata_key=order", "/metadata_value"),
        ("metadata_value=4711", "/metadata_key"),
    ] {
        let refused = fixture
            .admin
            .get(&fixture.at(&format!("sessions?{filter}")))
            .await;
        let expected = [(pointer.to_owned(), "missing_field".to_owned())];
        assert_eq!(refused.violations(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_secrets_name_what_uses_them() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let file = fixture
        .admin
        .upload(&fixture.at("files?name=a.txt"), b"A")
        .await;
    let file = id(&file.expect(201));
    let other = fixture
        .admin
        .upload(&fixture.at("files?name=b.txt"), b"B")
        .await;
    let other = id(&other.expect(201));
    let usage = fixture.at(&format!("files/{file}/usage"));
    let none = fixture.admin.get(&usage).await.expect(200);
    assert_eq!(none["data"], json!([]));
    let attach = fixture.at(&format!("agents/{}/files", fixture.agent));
    let body = json!({ "file_ids": [file] });
    fixture.admin.post(&attach, &body).await.expect(200);
    let session = session_with(&fixture, json!({})).await;
    let with = |file: &str| format!("sessions?file_id={file}");
    assert_eq!(found(&fixture, &with(&file)).await, [session]);
    assert!(found(&fixture, &with(&other)).await.is_empty());
    let unused = fixture.at(&format!("files/{other}/usage"));
    let unused = fixture.admin.get(&unused).await.expect(200);
    assert_eq!(unused["data"], json!([]));
    let one = fixture.admin.get(&usage).await.expect(200);
    assert_eq!(
        one["data"],
        json!([{ "agent_id": fixture.agent, "agent_name": "a" }])
    );
    let unknown = fixture.at(&format!("files/{}/usage", fixture.agent));
    fixture
        .admin
        .get(&unknown)
        .await
        .expect_error(404, "not_found");

    for name in ["TOKEN", "TOKEN_2"] {
        let secret = json!({ "value": "v", "hosts": ["example.org"] });
        let path = fixture.at(&format!("secrets/{name}"));
        fixture.admin.put(&path, &secret).await.expect(201);
    }
    let version = fixture
        .tool(json!({
            "kind": "http", "function_name": "find_order", "description": "Finds secrets.TOKEN_2.",
            "http": {
                "method": "GET", "url": "https://example.org/",
                "headers": { "authorization": "Bearer {{ secrets.TOKEN }}" },
            },
        }))
        .await;
    let usage = fixture.admin.get(&fixture.at("secrets/TOKEN/usage")).await;
    let usage = usage.expect(200);
    assert_eq!(usage["data"][0]["version_id"], version);
    assert_eq!(usage["data"][0]["tool_name"], "find_order");
    assert_eq!(usage["data"].as_array().unwrap().len(), 1);
    let other = fixture
        .admin
        .get(&fixture.at("secrets/TOKEN_2/usage"))
        .await;
    assert_eq!(
        other.expect(200)["data"],
        json!([]),
        "a description is no template"
    );
    let unknown = fixture.admin.get(&fixture.at("secrets/NONE/usage")).await;
    unknown.expect_error(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_are_deleted_with_a_result_for_each() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let mut files = Vec::new();
    for name in ["a", "b", "c"] {
        let path = fixture.at(&format!("files?name={name}.txt"));
        let made = fixture.admin.upload(&path, name.as_bytes()).await;
        files.push(id(&made.expect(201)));
    }
    let body = json!({ "file_ids": [files[0], fixture.agent, files[1], files[0]] });
    let path = fixture.at("files/bulk-delete");
    let done = fixture.admin.post(&path, &body).await.expect(200);
    let results = done["results"].as_array().unwrap().iter();
    let codes: Vec<_> = results.map(|result| &result["error"]["code"]).collect();
    let missing = json!("not_found");
    assert_eq!(codes, [&Value::Null, &missing, &Value::Null, &missing]);
    assert_eq!(found(&fixture, "files").await, [files[2].clone()]);
    for ids in [vec![], vec![&files[2]; 101]] {
        let refused = fixture.admin.post(&path, &json!({ "file_ids": ids })).await;
        assert_eq!(refused.violations()[0].0, "/file_ids");
    }
    let ingest = fixture.at("files/bulk-ingest");
    let body = json!({ "file_ids": [files[2], files[0]] });
    let asked = fixture.admin.post(&ingest, &body).await.expect(200);
    let results = asked["results"].as_array().unwrap().iter();
    let codes: Vec<_> = results.map(|result| &result["error"]["code"]).collect();
    // No embedding model is configured here.
    assert_eq!(codes, [&json!("embeddings_not_configured"), &missing]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_counted_and_know_their_filters() {
    let app = TestApp::start().await;
    let (fixture, other) = (app.tenant("acme").await, app.tenant("other").await);
    for name in ["ab", "ac"] {
        let body = json!({ "name": name });
        fixture
            .admin
            .post(&fixture.at("agents"), &body)
            .await
            .expect(201);
    }
    let total = async |fixture: &Fixture, query: &str| {
        let page = fixture.admin.get(&fixture.at(query)).await.expect(200);
        page["total"].clone()
    };
    let exactly = |value: i64| json!({ "value": value, "exact": true });
    assert_eq!(total(&fixture, "agents").await, Value::Null);
    assert_eq!(total(&fixture, "agents?count=false").await, Value::Null);
    let first = fixture
        .admin
        .get(&fixture.at("agents?count=true&limit=1"))
        .await;
    let first = first.expect(200);
    assert_eq!(first["total"], exactly(3));
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = format!("agents?count=true&limit=1&cursor={cursor}");
    assert_eq!(total(&fixture, &next).await, exactly(3), "of all pages");
    assert_eq!(
        total(&fixture, "agents?count=true&name=ab").await,
        exactly(1)
    );
    assert_eq!(total(&other, "agents?count=true").await, exactly(1));
    for list in ["sessions", "calls", "files", "users"] {
        let list = format!("{list}?count=true");
        assert_eq!(total(&fixture, &list).await, exactly(0), "{list}");
    }
    for list in ["prompts", "tools", "runtime-configs"] {
        let list = format!("{list}?count=true");
        assert_eq!(total(&fixture, &list).await, exactly(1), "{list}");
    }
    let audited = total(&fixture, "audit-events?count=true&action=agent.created").await;
    assert_eq!(audited, exactly(3));
    for (query, code) in [
        ("agents?count=yes", "invalid_value"),
        ("keys?count=true", "unknown_field"),
    ] {
        let refused = fixture.admin.get(&fixture.at(query)).await;
        assert_eq!(
            refused.violations(),
            [("/count".to_owned(), code.to_owned())]
        );
    }

    for (query, pointer) in [
        ("action=agent.exploded", "/action"),
        ("action=agents", "/action"),
        ("resource_kind=house", "/resource_kind"),
    ] {
        let path = fixture.at(&format!("audit-events?{query}"));
        let refused = fixture.admin.get(&path).await;
        assert_eq!(refused.violations()[0].0, pointer, "{query}");
        refused.expect_error(422, "validation_failed");
    }

    let mut connection = app.connect("DATABASE_URL").await;
    let tenant = &fixture.tenant;
    connection
        .batch_execute(&format!(
            "SELECT set_config('app.tenant_id', '{tenant}', false);
             INSERT INTO agents (tenant_id, id, name, description, worker_name, metadata, last_binding, revision, created_at, updated_at)
             SELECT '{tenant}', gen_random_uuid(), 'n' || n, '', 'w', '{{}}', 0, 1, now(), now() FROM generate_series(1, 9998) AS n"
        ))
        .await
        .unwrap();
    let more = json!({ "value": 10_000, "exact": false });
    assert_eq!(total(&fixture, "agents?count=true").await, more);
}
