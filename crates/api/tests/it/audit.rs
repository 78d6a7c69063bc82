//! The audit trail records every change with its actor, and holds no secret.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;

use super::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn every_change_leaves_its_trace() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let path = fixture.at(&format!("agents/{}", fixture.agent));
    let client = fixture.admin.with_header("x-request-id", "change-1");
    let patch = json!({ "name": "front desk", "metadata": { "phone": "+491234" } });
    client.patch(&path, &patch).await.expect(200);
    let trail = fixture.at(&format!(
        "audit-events?resource_id={}&action=agent.updated",
        fixture.agent
    ));
    let trail = fixture.admin.get(&trail).await.expect(200);
    let event = &trail["data"][0];
    assert_eq!(event["before"]["name"], "a");
    assert_eq!(event["after"]["name"], "front desk");
    assert_eq!(
        event["changed"],
        json!(["metadata", "name", "revision", "updated_at"])
    );
    assert_eq!(event["request_id"], "change-1");
    assert_eq!(event["actor_kind"], "api_key");
    assert_eq!(event["address"], "127.0.0.1");
    let me = fixture.admin.get("/api/whoami").await.expect(200);
    assert_eq!(event["actor_id"], me["key_id"]);
    let all = fixture
        .admin
        .get(&fixture.at("audit-events?limit=100"))
        .await
        .expect(200);
    assert!(
        !all.to_string().contains("+491234"),
        "a personal value is in the trail"
    );
    assert!(!all.to_string().contains("pb_"), "a key is in the trail");
    let by_actor = fixture.at("audit-events?actor_id=operator&resource_kind=tenant");
    let by_actor = fixture.admin.get(&by_actor).await.expect(200);
    assert_eq!(by_actor["data"][0]["action"], "tenant.created");
    let later = fixture.at("audit-events?from=2999-01-01T00:00:00Z");
    assert_eq!(
        fixture.admin.get(&later).await.expect(200)["data"],
        json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_leaves_none() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let path = fixture.at("audit-events?limit=1");
    let before = fixture.admin.get(&path).await.expect(200);
    let taken = json!({ "name": "a" });
    fixture
        .admin
        .post(&fixture.at("agents"), &taken)
        .await
        .expect_error(409, "name_taken");
    assert_eq!(fixture.admin.get(&path).await.expect(200), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_event_is_refused_is_not_made() {
    // One connection, which first learns the statement of the event, and then sends it together with COMMIT.
    let app = TestApp::start_with(&["--database-pool-size=1"]).await;
    let fixture = app.tenant("acme").await;
    let (agents, prompts) = (fixture.at("agents"), fixture.at("prompts"));
    let mut owner = app.connect("DATABASE_OWNER_URL").await;
    let refuse =
        "ALTER TABLE audit_events ADD CONSTRAINT refuse CHECK (resource_kind <> 'agent') NOT VALID";
    owner.batch_execute(refuse).await.unwrap();
    for number in 0..3 {
        let body = json!({ "name": format!("refused {number}") });
        fixture.admin.post(&agents, &body).await.expect(500);
        // The same connection serves the next request.
        let body = json!({ "name": format!("made {number}") });
        fixture.admin.post(&prompts, &body).await.expect(201);
    }
    let listed = async |path: &str| {
        let list = fixture.admin.get(path).await.expect(200);
        list["data"].as_array().unwrap().len()
    };
    assert_eq!(listed(&agents).await, 1, "only that of the fixture");
    assert_eq!(listed(&format!("{prompts}?name=made")).await, 3);
    let trail = fixture.at("audit-events?action=prompt.created");
    assert_eq!(listed(&trail).await, 4, "and that of the fixture");
}
