//! Tenants and their keys.

use serde_json::json;

use super::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_renames_itself_and_the_operator_suspends_it() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let path = format!("/api/tenants/{}", fixture.tenant);
    let renamed = fixture
        .admin
        .patch(
            &path,
            &json!({ "name": "Acme Ltd.", "settings": { "a": 1 } }),
        )
        .await;
    assert_eq!(renamed.header("etag"), "\"2\"");
    assert_eq!(renamed.expect(200)["name"], "Acme Ltd.");
    let suspend = json!({ "status": "suspended" });
    fixture
        .admin
        .patch(&path, &suspend)
        .await
        .expect_error(403, "operator_only");
    app.operator().patch(&path, &suspend).await.expect(200);
    fixture
        .admin
        .get(&fixture.at("agents"))
        .await
        .expect_error(403, "tenant_suspended");
    app.operator()
        .patch(&path, &json!({ "status": "active" }))
        .await
        .expect(200);
    fixture.admin.get(&fixture.at("agents")).await.expect(200);
    let listed = app
        .operator()
        .get("/api/tenants?slug=acme&status=active")
        .await
        .expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn slugs_are_unique() {
    let app = TestApp::start().await;
    app.tenant("acme").await;
    let body = json!({ "slug": "acme", "name": "Another" });
    app.operator()
        .post("/api/tenants", &body)
        .await
        .expect_error(409, "slug_taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_granted_no_more_than_their_maker_holds() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let keys = fixture.at("keys");
    let editor = json!({ "name": "e", "preset": "editor" });
    fixture.admin.post(&keys, &editor).await.expect(201);
    let keeper = app
        .key(&fixture.tenant, &["keys:write", "agents:read"])
        .await;
    keeper
        .post(&keys, &json!({ "name": "x", "scopes": ["agents:read"] }))
        .await
        .expect(201);
    let more = json!({ "name": "x", "scopes": ["agents:write"] });
    keeper
        .post(&keys, &more)
        .await
        .expect_error(403, "missing_scope");
    for (body, pointer) in [
        (json!({ "name": "x" }), "/scopes"),
        (json!({ "name": "x", "scopes": ["operator"] }), "/scopes"),
        (
            json!({ "name": "x", "scopes": ["agents:fly"] }),
            "/scopes/0",
        ),
        (
            json!({ "name": "x", "preset": "viewer", "expires_at": "2020-01-01T00:00:00Z" }),
            "/expires_at",
        ),
    ] {
        let refused = fixture.admin.post(&keys, &body).await;
        assert_eq!(refused.violations()[0].0, pointer, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_from_the_next_request_on() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let body = json!({ "name": "short-lived", "scopes": ["agents:read"] });
    let made = fixture
        .admin
        .post(&fixture.at("keys"), &body)
        .await
        .expect(201);
    let key = app.with_key(made["secret"].as_str().unwrap());
    key.get(&fixture.at("agents")).await.expect(200);
    let path = fixture.at(&format!("keys/{}", made["key"]["id"].as_str().unwrap()));
    fixture.admin.delete(&path).await.expect(204);
    key.get(&fixture.at("agents"))
        .await
        .expect_error(401, "invalid_key");
    fixture.admin.delete(&path).await.expect(204);
    let listed = fixture.admin.get(&fixture.at("keys")).await.expect(200);
    let revoked = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|k| k["name"] == "short-lived");
    assert!(revoked.unwrap()["revoked_at"].is_string());
    assert!(!listed.to_string().contains("pb_"), "a list shows a key");
}
