//! Sessions on the real LiveKit, without a worker.

use futures_util::future::join_all;
use serde_json::json;

use super::support::{TestApp, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn creating_resolves_renders_and_keeps_the_configuration() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let sessions = fixture.at("sessions");
    for (variables, violation) in [
        (json!({}), ("/variables/company", "missing_variable")),
        (
            json!({ "company": "A", "mood": "x" }),
            ("/variables/mood", "undeclared_variable"),
        ),
    ] {
        let body = json!({ "agent_id": fixture.agent, "variables": variables });
        let refused = fixture.admin.post(&sessions, &body).await;
        assert_eq!(
            refused.violations(),
            [(violation.0.to_owned(), violation.1.to_owned())]
        );
    }
    let session = fixture.session(false).await;
    assert_eq!(session["state"], "created");
    let digest = session["configuration_digest"].as_str().unwrap();
    let again = fixture.session(false).await;
    assert_eq!(
        again["configuration_digest"], digest,
        "equal configurations, one digest"
    );
    let stored = fixture
        .admin
        .get(&fixture.at(&format!("configurations/{digest}")))
        .await
        .expect(200);
    assert_eq!(
        stored["configuration"]["prompt"]["template"],
        "You answer for {{ company }}."
    );
    let listed = fixture
        .admin
        .get(&fixture.at("sessions?state=created&limit=1"))
        .await
        .expect(200);
    assert_eq!(listed["data"][0]["id"], again["id"]);
    let user = json!({ "email": "ada@example.org", "display_name": "Ada" });
    let user = fixture.admin.post(&fixture.at("users"), &user).await;
    let user = user.expect(201)["id"].as_str().unwrap().to_owned();
    for (filter, count) in [
        (format!("binding_id={}", fixture.binding), 2),
        (format!("binding_id={}", fixture.agent), 0),
        (format!("configuration_digest={digest}"), 2),
        (format!("configuration_digest={}", "0".repeat(64)), 0),
        (format!("user_id={user}"), 0),
        ("state=failed&state=created".to_owned(), 2),
        ("state=failed&state=ended".to_owned(), 0),
    ] {
        let path = fixture.at(&format!("sessions?{filter}"));
        let listed = fixture.admin.get(&path).await.expect(200);
        assert_eq!(listed["data"].as_array().unwrap().len(), count, "{filter}");
    }
    let wrong = fixture.at("sessions?state=created&state=over");
    let wrong = fixture.admin.get(&wrong).await.violations();
    assert_eq!(wrong, [("/state/1".into(), "invalid_value".into())]);
    let started = fixture.session(true).await;
    let attach = fixture.at(&format!(
        "sessions/{}/attach",
        started["id"].as_str().unwrap()
    ));
    let attached = json!({ "type": "user", "user_id": user });
    fixture.admin.post(&attach, &attached).await.expect(201);
    let path = fixture.at(&format!("sessions?user_id={user}"));
    let listed = fixture.admin.get(&path).await.expect(200);
    assert_eq!(listed["data"][0]["id"], started["id"]);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_a_binding_cannot_run() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let agent = fixture
        .admin
        .post(&fixture.at("agents"), &json!({ "name": "new" }))
        .await
        .expect(201);
    let body = json!({ "agent_id": agent["id"] });
    let refused = fixture.admin.post(&fixture.at("sessions"), &body).await;
    refused.expect_error(409, "no_active_binding");
    let named = json!({ "agent_id": agent["id"], "binding_id": fixture.binding });
    let refused = fixture.admin.post(&fixture.at("sessions"), &named).await;
    let unknown = |pointer: &str| [(pointer.to_owned(), "unknown_reference".to_owned())];
    assert_eq!(refused.violations(), unknown("/binding_id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_a_session_fails_and_its_room_is_deleted() {
    let app = TestApp::start_with(&["--join-deadline=2s"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    assert!(session["room_sid"].is_string(), "{session}");
    let failed = eventually("failed", async || {
        let session = fixture.read(&session).await;
        (session["state"] == "failed").then_some(session)
    })
    .await;
    assert_eq!(failed["end_reason"], "no_worker");
    let path = fixture.at(&format!(
        "sessions/{}/agent-runs",
        session["id"].as_str().unwrap()
    ));
    let runs = fixture.admin.get(&path).await.expect(200);
    let attempts: Vec<_> = runs["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["attempt"].clone())
        .collect();
    assert_eq!(attempts, [json!(1)]);
    let room = session["room_name"].as_str().unwrap().to_owned();
    eventually("the room is deleted", async || {
        let rooms = app.livekit().list_rooms(vec![room.clone()]).await.unwrap();
        rooms.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_starts_dispatch_once_and_stops_answer_the_same() {
    let app = TestApp::start_with(&["--join-deadline=20s", "--dispatch-check=10s"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(false).await;
    let at = |verb: &str| {
        fixture.at(&format!(
            "sessions/{}/{verb}",
            session["id"].as_str().unwrap()
        ))
    };
    let start = at("start");
    for started in join_all((0..10).map(|_| fixture.admin.act(&start))).await {
        assert!(started.expect(200)["dispatched_at"].is_string());
    }
    let room = session["room_name"].as_str().unwrap();
    let dispatches = app.livekit().list_dispatches(room).await.unwrap();
    assert_eq!(dispatches.len(), 1);
    let metadata: serde_json::Value = serde_json::from_str(&dispatches[0].metadata).unwrap();
    assert_eq!(
        metadata.as_object().unwrap().len(),
        3,
        "ids only: {metadata}"
    );
    assert_eq!(metadata["session_id"], session["id"]);

    let path = fixture.at(&format!("sessions/{}", session["id"].as_str().unwrap()));
    fixture
        .admin
        .delete(&path)
        .await
        .expect_error(409, "session_live");
    let stop = at("stop");
    let first = fixture
        .admin
        .post(&stop, &json!({ "reason": "enough" }))
        .await
        .expect(200);
    assert_eq!(
        (&first["state"], &first["end_reason"]),
        (&json!("ended"), &json!("enough"))
    );
    let second = fixture.admin.act(&stop).await.expect(200);
    assert_eq!(second, first);
    fixture
        .admin
        .act(&start)
        .await
        .expect_error(409, "session_over");

    let digest = session["configuration_digest"].as_str().unwrap();
    fixture.admin.delete(&path).await.expect(204);
    fixture
        .admin
        .get(&path)
        .await
        .expect_error(404, "not_found");
    fixture
        .admin
        .get(&fixture.at(&format!("configurations/{digest}")))
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_reads_its_run_and_says_why_it_leaves() {
    let app = TestApp::start_with(&["--join-deadline=20s"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let path = fixture.at(&format!("sessions/{}", session["id"].as_str().unwrap()));
    let runs = fixture
        .admin
        .get(&format!("{path}/agent-runs"))
        .await
        .expect(200);
    let run = runs["data"][0]["id"].as_str().unwrap();
    let config = app
        .worker()
        .get(&format!("{path}/agent-runs/{run}/config"))
        .await
        .expect(200);
    assert_eq!(config["prompt"], "You answer for Acme.");
    assert_eq!(config["digest"], session["configuration_digest"]);
    app.worker()
        .get(&path)
        .await
        .expect_error(403, "missing_scope");
    let error = json!({ "error": "the model is on fire" });
    let failed = app
        .worker()
        .post(&format!("{path}/stop"), &error)
        .await
        .expect(200);
    assert_eq!(
        (&failed["state"], &failed["end_reason"]),
        (&json!("failed"), &json!("agent_error"))
    );
    assert_eq!(failed["error"]["message"], "the model is on fire");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_a_suspended_tenant_finish_live_sessions_only() {
    let app = TestApp::start_with(&["--join-deadline=20s"]).await;
    let fixture = app.tenant("acme").await;
    let key = app.key(&fixture.tenant, &["worker"]).await;
    let session = fixture.session(true).await;
    let path = fixture.at(&format!("sessions/{}", session["id"].as_str().unwrap()));
    let runs = fixture
        .admin
        .get(&format!("{path}/agent-runs"))
        .await
        .expect(200);
    let config = format!(
        "{path}/agent-runs/{}/config",
        runs["data"][0]["id"].as_str().unwrap()
    );
    let suspend = json!({ "status": "suspended" });
    app.operator()
        .patch(&format!("/api/tenants/{}", fixture.tenant), &suspend)
        .await
        .expect(200);
    key.get(&config).await.expect(200);
    key.post(
        &format!("{path}/stop"),
        &json!({ "reason": "agent_hangup" }),
    )
    .await
    .expect(200);
    key.get(&config).await.expect_error(403, "tenant_suspended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_comes_back_after_its_session_is_deleted() {
    let app = TestApp::start_with(&["--join-deadline=20s"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let stop = fixture.at(&format!(
        "sessions/{}/stop",
        session["id"].as_str().unwrap()
    ));
    fixture.admin.act(&stop).await.expect(200);
    let livekit = app.livekit();
    let room = session["room_name"].as_str().unwrap().to_owned();
    livekit.create_dispatch(&room, "nobody", "").await.unwrap();
    assert_eq!(
        livekit.list_rooms(vec![room.clone()]).await.unwrap().len(),
        1
    );
    eventually("swept away", async || {
        let rooms = livekit.list_rooms(vec![room.clone()]).await.ok()?;
        rooms.is_empty().then_some(())
    })
    .await;
}
