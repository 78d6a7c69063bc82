//! Users, their data in rooms, and their erasure.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::{Value, json};

use super::support::{Fixture, TestApp, eventually};

async fn listed(fixture: &Fixture, query: &str) -> Vec<Value> {
    let page = fixture
        .admin
        .get(&fixture.at(&format!("users?{query}")))
        .await;
    page.expect(200)["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_made_found_and_changed() {
    let app = TestApp::start().await;
    let (fixture, other) = (app.tenant("acme").await, app.tenant("other").await);
    let body = json!({
        "email": "Ada@Example.org", "display_name": "Ada", "role": "support", "external_id": "x1",
    });
    let made = fixture.admin.post(&fixture.at("users"), &body).await;
    let path = made.header("location").to_owned();
    let user = made.expect(201);
    assert_eq!(
        (&user["email"], &user["revision"]),
        (&json!("Ada@Example.org"), &json!(1))
    );
    let same = json!({ "email": "ada@EXAMPLE.org", "display_name": "B" });
    let taken = fixture.admin.post(&fixture.at("users"), &same).await;
    let place = ("/email".to_owned(), "email_taken".to_owned());
    assert_eq!(taken.violations(), [place]);
    taken.expect_error(409, "email_taken");
    let same = json!({ "email": "b@example.org", "display_name": "B", "external_id": "x1" });
    let taken = fixture.admin.post(&fixture.at("users"), &same).await;
    taken.expect_error(409, "external_id_taken");
    // Another tenant has its own users.
    other
        .admin
        .post(&other.at("users"), &body)
        .await
        .expect(201);
    let second = json!({ "email": "b@example.org", "display_name": "B" });
    fixture
        .admin
        .post(&fixture.at("users"), &second)
        .await
        .expect(201);
    for (query, count) in [
        ("", 2),
        ("email=ADA%40example.org", 1),
        ("role=support", 1),
        ("role=boss", 0),
        ("external_id=x1", 1),
    ] {
        assert_eq!(listed(&fixture, query).await.len(), count, "{query}");
    }
    let patch = json!({ "role": null, "email": "ada@example.org", "metadata": { "a": 1 } });
    let changed = fixture.admin.patch(&path, &patch).await.expect(200);
    assert!(changed["role"].is_null());
    assert_eq!(changed["external_id"], "x1");
    for (field, value, code) in [
        ("email", json!("ada"), "invalid_email"),
        ("display_name", json!(""), "too_short"),
        ("display_name", Value::Null, "invalid_type"),
        ("metadata", json!({ "a": "x".repeat(17_000) }), "too_large"),
    ] {
        let refused = fixture.admin.patch(&path, &json!({ field: value })).await;
        let violations = refused.violations();
        assert_eq!(violations[0].0, format!("/{field}"), "{violations:?}");
        assert_eq!(violations[0].1, code);
        refused.expect_error(422, "validation_failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_joins_under_their_id_and_leaves_no_name_when_erased() {
    let app = TestApp::start().await;
    let (fixture, other) = (app.tenant("acme").await, app.tenant("other").await);
    let body = json!({ "email": "ada@example.org", "display_name": "Ada", "metadata": { "a": 1 } });
    let user = fixture
        .admin
        .post(&fixture.at("users"), &body)
        .await
        .expect(201);
    let id = user["id"].as_str().unwrap();
    let session = fixture.session(true).await;
    let token = json!({ "session_id": session["id"], "user_id": id });
    let token = fixture
        .admin
        .post(&fixture.at("tokens"), &token)
        .await
        .expect(201);
    let identity = format!("usr_{id}");
    assert_eq!(token["participant_identity"], identity);
    let both = json!({ "session_id": session["id"], "user_id": id, "identity": "ada" });
    let refused = fixture.admin.post(&fixture.at("tokens"), &both).await;
    assert_eq!(refused.violations()[0].0, "/identity");
    let strangers = json!({ "session_id": session["id"], "user_id": id });
    let refused = other.admin.post(&other.at("tokens"), &strangers).await;
    let unknown = ("/session_id".into(), "unknown_reference".into());
    assert_eq!(refused.violations(), [unknown]);
    // As the webhook of a join would leave it.
    let mut database = app.connect("DATABASE_URL").await;
    let session_id = session["id"].as_str().unwrap();
    let stay = format!(
        "SELECT set_config('app.tenant_id', '{0}', false);
         INSERT INTO participants (tenant_id, id, session_id, sid, identity, name, kind)
         VALUES ('{0}', gen_random_uuid(), '{session_id}', 'PA_1', '{identity}', 'Ada', 'standard')",
        fixture.tenant
    );
    database.batch_execute(&stay).await.unwrap();
    let path = fixture.at(&format!("users/{id}"));
    fixture.admin.delete(&path).await.expect(204);
    fixture
        .admin
        .get(&path)
        .await
        .expect_error(404, "not_found");
    let people = fixture.at(&format!("sessions/{session_id}/participants"));
    let person = eventually("the stay", async || {
        let people = fixture.admin.get(&people).await.expect(200);
        let all = people["data"].as_array().unwrap().clone();
        all.into_iter()
            .find(|person| person["identity"] == identity)
    })
    .await;
    assert_eq!(person["name"], "");
    // The audit trail names the personal fields, without their values.
    let trail = fixture
        .admin
        .get(&fixture.at("audit-events?resource_kind=user"))
        .await;
    let trail = trail.expect(200);
    assert_eq!(trail["data"].as_array().unwrap().len(), 2);
    let text = trail.to_string();
    assert!(
        !text.contains("ada@example.org") && !text.contains("\"Ada\""),
        "{text}"
    );
    assert!(text.contains("display_name"));
}
