//! Agents, revisions and races on them.

use futures_util::future::join_all;
use serde_json::json;

use super::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_made_changed_and_deleted() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let body =
        json!({ "name": "desk", "description": "d", "metadata": { "a": 1, "b": { "c": 2 } } });
    let made = fixture.admin.post(&fixture.at("agents"), &body).await;
    let path = made.header("location").to_owned();
    assert_eq!(made.header("etag"), "\"1\"");
    assert_eq!(made.expect(201)["worker_name"], "patchbay-agent");
    fixture
        .admin
        .post(&fixture.at("agents"), &body)
        .await
        .expect_error(409, "name_taken");
    let patch = json!({ "description": null, "metadata": { "a": null, "b": { "d": 3 } } });
    let merge = fixture
        .admin
        .with_header("content-type", "application/merge-patch+json");
    let changed = merge.patch(&path, &patch).await.expect(200);
    assert_eq!(changed["description"], "");
    assert_eq!(changed["metadata"], json!({ "b": { "c": 2, "d": 3 } }));
    assert_eq!(changed["name"], "desk");
    let refused = fixture.admin.patch(&path, &json!({ "name": null })).await;
    assert_eq!(refused.violations()[0].0, "/name");
    let refused = fixture
        .admin
        .patch(&path, &json!({ "worker_name": "stranger" }))
        .await;
    assert_eq!(
        refused.violations(),
        [("/worker_name".into(), "unknown_worker".into())]
    );
    fixture
        .admin
        .with_header("if-match", "\"1\"")
        .delete(&path)
        .await
        .expect_error(412, "precondition_failed");
    fixture
        .admin
        .with_header("if-match", "\"2\"")
        .delete(&path)
        .await
        .expect(204);
    fixture
        .admin
        .get(&path)
        .await
        .expect_error(404, "not_found");
    fixture
        .admin
        .post(&fixture.at("agents"), &body)
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_patches_of_one_revision_change_it_once() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let path = fixture.at(&format!("agents/{}", fixture.agent));
    let etag = fixture.admin.get(&path).await.header("etag").to_owned();
    let client = fixture.admin.with_header("if-match", &etag);
    let patches = (0..50).map(|number| {
        let (client, path) = (client.clone(), path.clone());
        async move {
            client
                .patch(&path, &json!({ "description": format!("{number}") }))
                .await
                .status
                .as_u16()
        }
    });
    let mut statuses = join_all(patches).await;
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (200, &[412; 49][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_a_live_session_stays() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(false).await;
    let path = fixture.at(&format!("agents/{}", fixture.agent));
    let refused = fixture.admin.delete(&path).await;
    let refused = refused.expect_error(409, "agent_in_use");
    let blocker = &refused["blocked_by"][0];
    assert_eq!(
        (&blocker["type"], &blocker["id"]),
        (&json!("session"), &session["id"])
    );
    let stop = fixture.at(&format!(
        "sessions/{}/stop",
        session["id"].as_str().unwrap()
    ));
    assert_eq!(
        fixture.admin.act(&stop).await.expect(200)["end_reason"],
        "canceled"
    );
    fixture.admin.delete(&path).await.expect(204);
    assert_eq!(
        fixture.read(&session).await["agent_id"],
        fixture.agent.as_str()
    );
}
