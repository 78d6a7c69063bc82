//! Limits of tenants: concurrent sessions, and unreadable limits.

use diesel::{QueryableByName, sql_query, sql_types::Text};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    calls::world,
    support::{Fixture, Response, TestApp, id},
};

#[derive(QueryableByName)]
struct Constraint {
    #[diesel(sql_type = Text)]
    name: String,
}

fn session(fixture: &Fixture, start: bool) -> Value {
    json!({ "agent_id": fixture.agent, "variables": { "company": "Acme" }, "start": start })
}

async fn limit(app: &TestApp, fixture: &Fixture, limits: Value) -> Response {
    let tenant = format!("/api/tenants/{}", fixture.tenant);
    let patch = json!({ "limits": limits });
    app.operator().patch(&tenant, &patch).await
}

fn count(answers: &[Response], status: u16) -> usize {
    let those = answers.iter().filter(|answer| answer.status == status);
    those.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn live_sessions_are_limited_to_the_last_one_under_parallel_starts() {
    let settings = ["--session-limit=5", "--join-deadline=60s"];
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    let other = app.tenant("other").await;
    let path = fixture.at("sessions");
    let waiting = join_all((0..16).map(|_| fixture.session(false))).await;
    let body = session(&fixture, true);
    let starts: Vec<_> = waiting
        .iter()
        .map(|made| fixture.at(&format!("sessions/{}/start", id(made))))
        .collect();
    let started = join_all(starts.iter().map(|path| fixture.admin.act(path)));
    let created = join_all((0..16).map(|_| fixture.admin.post(&path, &body)));
    let (started, created) = futures_util::future::join(started, created).await;
    let good = count(&started, 200) + count(&started, 202) + count(&created, 201);
    let refused = count(&started, 429) + count(&created, 429);
    assert_eq!((good, refused), (5, 27));
    let full = fixture.admin.post(&path, &body).await;
    assert!(full.header("retry-after").parse::<u32>().unwrap() > 0);
    let full = full.expect_error(429, "session_limit_reached");
    let detail = full["detail"].as_str().unwrap();
    assert!(detail.contains("`concurrent_sessions`: 5 "), "{detail}");
    // The refused session can be started later.
    let listed = fixture.admin.get(&path).await.expect(200);
    let listed = listed["data"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 16 + count(&created, 201));
    let live: Vec<_> = listed.iter().filter(|s| s["state"] != "created").collect();
    assert_eq!(live.len(), 5);
    other.session(true).await;
    // A second start of a live session needs no place; an ended one has released its place.
    let again = fixture.at(&format!("sessions/{}/start", id(live[0])));
    fixture.admin.act(&again).await.expect(200);
    let stop = fixture.at(&format!("sessions/{}/stop", id(live[0])));
    fixture.admin.act(&stop).await.expect(200);
    fixture.admin.post(&path, &body).await.expect(201);
    let full = fixture.admin.post(&path, &body).await;
    full.expect_error(429, "session_limit_reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_gives_a_tenant_a_number_of_sessions_of_its_own() {
    let settings = ["--session-limit=1", "--join-deadline=60s"];
    let mut app = TestApp::start_with(&settings).await;
    let mut fixture = app.tenant("acme").await;
    let path = fixture.at("sessions");
    let body = session(&fixture, true);
    fixture.session(true).await;
    let refused = fixture.admin.post(&path, &body).await;
    refused.expect_error(429, "session_limit_reached");
    let set = limit(&app, &fixture, json!({ "concurrent_sessions": 2 })).await;
    assert_eq!(set.expect(200)["limits"]["concurrent_sessions"], 2);
    fixture.session(true).await;
    let refused = fixture.admin.post(&path, &body).await;
    refused.expect_error(429, "session_limit_reached");
    let zero = limit(&app, &fixture, json!({ "concurrent_sessions": 0 })).await;
    let expected = ("/limits/concurrent_sessions".into(), "out_of_range".into());
    assert_eq!(zero.violations(), [expected]);
    let cleared = limit(&app, &fixture, json!({ "concurrent_sessions": null })).await;
    cleared.expect(200);
    app.restart_with(&["--session-limit=0", "--join-deadline=60s"])
        .await;
    fixture.admin = app.with_key(&fixture.key);
    for _ in 0..3 {
        fixture.session(true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_needs_a_place_for_its_session() {
    let (_fake, app, fixture) = world(&["--session-limit=1"]).await;
    let call = json!({
        "agent_id": fixture.agent, "to": super::calls::CALLEE,
        "variables": { "company": "Acme" }, "start": true,
    });
    let path = fixture.at("calls");
    let live = fixture.session(true).await;
    let refused = fixture.admin.post(&path, &call).await;
    refused.expect_error(429, "session_limit_reached");
    let mut later = call.clone();
    later["start"] = json!(false);
    let made = fixture.admin.post(&path, &later).await.expect(201);
    let start = fixture.at(&format!("calls/{}/start", id(&made)));
    let refused = fixture.admin.act(&start).await;
    refused.expect_error(429, "session_limit_reached");
    let stop = fixture.at(&format!("sessions/{}/stop", id(&live)));
    fixture.admin.act(&stop).await.expect(200);
    fixture.admin.act(&start).await.expect(200);
    limit(&app, &fixture, json!({ "concurrent_sessions": 2 })).await;
    fixture.session(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_cannot_be_read_refuse_and_never_fall_open() {
    let (_fake, app, fixture) = world(&[]).await;
    let other = app.tenant("other").await;
    let mut database = app.connect("DATABASE_URL").await;
    let tenant = format!("/api/tenants/{}", fixture.tenant);
    let call = json!({
        "agent_id": fixture.agent, "to": super::calls::CALLEE,
        "variables": { "company": "Acme" }, "start": true,
    });
    let live = fixture.session(true).await;
    let session = fixture.at(&format!("sessions/{}", id(&live)));
    for wrong in [
        r#"{"denied_prefixes": "+49"}"#,
        r#"{"denied_prefixes": ["49"]}"#,
        r#"{"denied_prefixes": ["+49", null]}"#,
        r#"{"allowed_prefixes": {}}"#,
        r#"{"concurrent_calls": 0}"#,
        r#"{"concurrent_sessions": "5"}"#,
        r#"{"reads_per_minute": 4294967296}"#,
        "[]",
        "null",
    ] {
        let broken = format!(
            "UPDATE tenants SET limits = '{wrong}' WHERE id = '{}'",
            fixture.tenant
        );
        database.batch_execute(&broken).await.unwrap();
        let refused = fixture.admin.post(&fixture.at("calls"), &call).await;
        let refused = refused.expect_error(500, "stored_data_unreadable");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("tenants.limits"), "{detail}");
        assert!(detail.contains(&fixture.tenant), "{detail}");
        let read = fixture.admin.get(&session).await;
        read.expect_error(500, "stored_data_unreadable");
        let read = app.operator().get(&tenant).await;
        read.expect_error(500, "stored_data_unreadable");
        // Changing some of them would hide that the others are lost.
        let some = limit(&app, &fixture, json!({ "concurrent_calls": 3 })).await;
        some.expect_error(500, "stored_data_unreadable");
        // Workers of live sessions are not affected, and neither is any other tenant.
        let runs = fixture.at(&format!("sessions/{}/agent-runs", id(&live)));
        let runs = app.worker().get(&runs).await;
        assert_ne!(runs.status, 500);
        other.admin.get(&other.at("agents")).await.expect(200);
        // The operator sets them again: first all to null, then the wanted ones.
        limit(&app, &fixture, Value::Null).await.expect(200);
        assert!(fixture.admin.get(&fixture.at("calls")).await.expect(200)["data"] == json!([]));
    }
    let path = fixture.at("audit-events?action=tenant.updated&limit=1");
    let events = fixture.admin.get(&path).await.expect(200);
    let event = &events["data"][0];
    assert_eq!(event["before"]["limits"], Value::Null, "as it was stored");
    assert!(
        event["changed"]
            .as_array()
            .unwrap()
            .contains(&json!("limits"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_is_not_known_is_an_error_and_no_default() {
    let (_fake, app, fixture) = world(&[]).await;
    let session = fixture.session(true).await;
    let mut owner = app.connect("DATABASE_OWNER_URL").await;
    for (table, column, path) in [
        ("sessions", "state", format!("sessions/{}", id(&session))),
        (
            "agent_runs",
            "state",
            format!("sessions/{}/agent-runs", id(&session)),
        ),
        ("tenants", "status", "agents".to_owned()),
    ] {
        let check: Vec<Constraint> = sql_query(format!(
            "SELECT conname::text AS name FROM pg_constraint
             WHERE conrelid = '{table}'::regclass AND contype = 'c' AND pg_get_constraintdef(oid) LIKE '%{column}%'"
        ))
        .load(&mut owner)
        .await
        .unwrap();
        for Constraint { name } in check {
            let drop = format!("ALTER TABLE {table} DROP CONSTRAINT {name}");
            owner.batch_execute(&drop).await.unwrap();
        }
        let set = format!(
            "SET app.tenant_id = '{}'; UPDATE {table} SET {column} = 'paused'",
            fixture.tenant
        );
        owner.batch_execute(&set).await.unwrap();
        let refused = fixture.admin.get(&fixture.at(&path)).await;
        let refused = refused.expect_error(500, "stored_data_unreadable");
        let detail = refused["detail"].as_str().unwrap();
        assert!(
            detail.contains(column) && detail.contains("`paused`"),
            "{detail}"
        );
    }
}
