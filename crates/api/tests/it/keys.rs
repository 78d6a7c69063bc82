//! Keys that were created by keys, and the installation's own keys.

use chrono::{SecondsFormat, TimeDelta, Utc};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::future::join;
use serde_json::{Value, json};

use super::support::{Client, Fixture, OPERATOR_KEY, TestApp, WORKER_KEY, id};

/// The time in this many minutes.
fn after(minutes: i64) -> String {
    let at =
        chrono::DateTime::<Utc>::from(std::time::SystemTime::now()) + TimeDelta::minutes(minutes);
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A key that `maker` creates and that can create keys itself.
async fn key(fixture: &Fixture, maker: &Client, more: Value) -> (Client, Value) {
    let mut body = json!({ "name": "k", "scopes": ["keys:read", "keys:write"] });
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    let made = maker.post(&fixture.at("keys"), &body).await.expect(201);
    let client = Client::new(&fixture.base, made["secret"].as_str());
    (client, made["key"].clone())
}

async fn works(key: &Client) -> bool {
    let answer = key.get("/api/whoami").await;
    match answer.status.as_u16() {
        200 => true,
        _ => {
            answer.expect_error(401, "invalid_key");
            false
        }
    }
}

async fn database(app: &TestApp, statement: &str) {
    let mut connection: AsyncPgConnection = app.connect("DATABASE_URL").await;
    connection.batch_execute(statement).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_expires_with_its_parent_at_the_latest() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let path = fixture.at("keys");
    let (hour, sooner, later) = (after(60), after(30), after(61));
    let (parent, row) = key(&fixture, &app.operator(), json!({ "expires_at": hour })).await;
    assert_eq!(row["parent_key_id"], Value::Null, "the operator made it");
    for more in [json!({}), json!({ "expires_at": null })] {
        let (child, made) = key(&fixture, &parent, more).await;
        assert_eq!(made["expires_at"], row["expires_at"]);
        assert_eq!(made["parent_key_id"], row["id"]);
        let (_, grandchild) = key(&fixture, &child, json!({})).await;
        assert_eq!(grandchild["expires_at"], row["expires_at"]);
        assert_eq!(grandchild["parent_key_id"], made["id"]);
    }
    let (child, made) = key(&fixture, &parent, json!({ "expires_at": sooner })).await;
    assert_eq!(made["expires_at"], json!(sooner));
    for (maker, expires_at) in [(&parent, &later), (&child, &hour)] {
        let body = json!({ "name": "x", "scopes": ["keys:read"], "expires_at": expires_at });
        let refused = maker.post(&path, &body).await;
        let expected = ("/expires_at".to_owned(), "later_than_parent".to_owned());
        assert_eq!(refused.violations(), [expected]);
        refused.expect_error(422, "validation_failed");
    }
    // A key without expiry may create keys with and without one.
    let first = fixture.admin.get("/api/whoami").await.expect(200);
    let (_, lasting) = key(&fixture, &fixture.admin, json!({})).await;
    assert_eq!(lasting["expires_at"], Value::Null);
    assert_eq!(lasting["parent_key_id"], first["key_id"]);
    let listed = fixture.admin.get(&path).await.expect(200);
    let listed = listed["data"].as_array().unwrap();
    assert!(listed.contains(&lasting));
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_key_revokes_all_below_it_and_nothing_else() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let (top, top_row) = key(&fixture, &fixture.admin, json!({})).await;
    let (child, child_row) = key(&fixture, &top, json!({})).await;
    let (sibling, _) = key(&fixture, &top, json!({})).await;
    let (grandchild, grandchild_row) = key(&fixture, &child, json!({})).await;
    let (other, _) = key(&fixture, &fixture.admin, json!({})).await;
    let revoke = |row: &Value| fixture.at(&format!("keys/{}", id(row)));
    fixture.admin.delete(&revoke(&child_row)).await.expect(204);
    assert!(!works(&child).await && !works(&grandchild).await);
    assert!(works(&top).await && works(&sibling).await && works(&other).await);
    top.delete(&revoke(&top_row)).await.expect(204);
    assert!(!works(&top).await && !works(&sibling).await);
    assert!(works(&other).await && works(&fixture.admin).await);
    let listed = fixture.admin.get(&fixture.at("keys")).await.expect(200);
    let listed = listed["data"].as_array().unwrap();
    let revoked = listed.iter().filter(|key| key["revoked_at"].is_string());
    assert_eq!(revoked.count(), 4);
    let one = fixture.admin.get(&revoke(&top_row)).await.expect(200);
    assert!(
        listed.contains(&one) && one["revoked_at"].is_string(),
        "{one}"
    );
    // The audit trail has each of them once.
    for row in [&top_row, &child_row, &grandchild_row] {
        let path = fixture.at(&format!("audit-events?resource_id={}", id(row)));
        let events = fixture.admin.get(&path).await.expect(200);
        let events = events["data"].as_array().unwrap();
        let actions: Vec<_> = events.iter().map(|event| &event["action"]).collect();
        assert_eq!(actions, ["api_key.deleted", "api_key.created"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_is_refused_whatever_became_of_the_keys_above_it() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    for harm in [
        "UPDATE api_keys SET revoked_at = now() WHERE id =",
        "UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE id =",
        "DELETE FROM api_keys WHERE id =",
    ] {
        for generation in 0..2 {
            let (top, top_row) = key(&fixture, &app.operator(), json!({})).await;
            let (child, child_row) = key(&fixture, &top, json!({})).await;
            let (grandchild, _) = key(&fixture, &child, json!({})).await;
            assert!(works(&grandchild).await);
            let harmed = [&top_row, &child_row][generation];
            database(&app, &format!("{harm} '{}'", id(harmed))).await;
            assert!(!works(&grandchild).await, "{harm} {generation}");
            assert_eq!(works(&top).await, generation == 1, "{harm}");
            let body = json!({ "name": "x", "scopes": ["keys:read"] });
            let path = fixture.at("keys");
            let refused = grandchild.post(&path, &body).await;
            refused.expect_error(401, "invalid_key");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_made_while_its_parent_is_revoked_does_not_live() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let path = fixture.at("keys");
    let (mut made_in_time, body) = (0, json!({ "name": "x", "scopes": ["keys:read"] }));
    for _ in 0..40 {
        let (parent, row) = key(&fixture, &fixture.admin, json!({})).await;
        let revoke = fixture.at(&format!("keys/{}", id(&row)));
        let makes = async || parent.post(&path, &body).await;
        let both = join(makes(), makes());
        let (children, revoked) = join(both, fixture.admin.delete(&revoke)).await;
        revoked.expect(204);
        for child in [children.0, children.1] {
            if child.status == 401 {
                continue;
            }
            made_in_time += 1;
            let child = child.expect(201);
            assert!(!works(&app.with_key(child["secret"].as_str().unwrap())).await);
        }
    }
    assert!(made_in_time > 0, "nothing was tried");
    // Not only refused: recorded as revoked.
    let listed = fixture.admin.get(&format!("{path}?limit=100")).await;
    let listed = listed.expect(200);
    let keys = listed["data"].as_array().unwrap();
    let live = keys.iter().filter(|key| key["revoked_at"].is_null());
    let mut names: Vec<_> = live.map(|key| key["name"].as_str().unwrap()).collect();
    names.dedup();
    assert!(!names.contains(&"x"), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn generations_and_good_keys_are_bounded() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let path = fixture.at("keys");
    let body = json!({ "name": "x", "scopes": ["keys:read"] });
    let mut last = fixture.admin.clone();
    for _ in 1..8 {
        last = key(&fixture, &last, json!({})).await.0;
    }
    assert!(works(&last).await, "the eighth works");
    let refused = last.post(&path, &body).await;
    assert_eq!(refused.violations(), [(String::new(), "too_deep".into())]);
    let many = format!(
        "INSERT INTO api_keys (tenant_id, id, name, secret_hash, scopes, created_at, revoked_at, expires_at)
         SELECT '{}', gen_random_uuid(), 'x', '', '{{}}', now(), NULL, NULL FROM generate_series(1, 1000)",
        fixture.tenant
    );
    database(&app, &many).await;
    let refused = fixture.admin.post(&path, &body).await;
    refused.expect_error(409, "key_limit_reached");
    app.operator().post(&path, &body).await.expect(201);
    // Revoked and expired ones do not count.
    let over = "UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE secret_hash = ''";
    database(&app, over).await;
    fixture.admin.post(&path, &body).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installations_keys_are_changed_without_an_outage() {
    let (new_operator, new_worker) = (
        "another-operator-key-of-the-installation",
        "another-worker-key-of-the-installation",
    );
    let both = [
        format!("--operator-key={OPERATOR_KEY},{new_operator}"),
        format!("--worker-key={WORKER_KEY},{new_worker}"),
    ];
    let new = [
        format!("--operator-key={new_operator}"),
        format!("--worker-key={new_worker}"),
    ];
    let mut app = TestApp::start().await;
    let kind = async |app: &TestApp, key: &str| {
        let answer = app.with_key(key).get("/api/whoami").await;
        match answer.status.as_u16() {
            200 => answer.body["kind"].as_str().unwrap().to_owned(),
            status => status.to_string(),
        }
    };
    assert_eq!(kind(&app, OPERATOR_KEY).await, "operator");
    assert_eq!(kind(&app, new_operator).await, "401");
    app.restart_with(&both.each_ref().map(|text| &**text)).await;
    for operator in [OPERATOR_KEY, new_operator] {
        assert_eq!(kind(&app, operator).await, "operator");
        let client = app.with_key(operator);
        client.get("/api/tenants").await.expect(200);
    }
    for worker in [WORKER_KEY, new_worker] {
        assert_eq!(kind(&app, worker).await, "worker");
    }
    let joined = format!("{OPERATOR_KEY},{new_operator}");
    assert_eq!(kind(&app, &joined).await, "401", "the setting is no key");
    app.restart_with(&new.each_ref().map(|text| &**text)).await;
    for (key, expected) in [
        (OPERATOR_KEY, "401"),
        (WORKER_KEY, "401"),
        (new_operator, "operator"),
        (new_worker, "worker"),
    ] {
        assert_eq!(kind(&app, key).await, expected, "{key}");
    }
}
