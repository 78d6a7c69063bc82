//! Attaching participants and further agents to a live session.

use serde_json::{Value, json};

use super::support::{Fixture, TestApp, deliver, event, eventually, id, now};

const LONG_DEADLINES: [&str; 3] = [
    "--join-deadline=20s",
    "--agent-grace=60s",
    "--reconcile-interval=60s",
];

/// A session in `running`, according to webhooks.
async fn running(app: &TestApp, fixture: &Fixture) -> Value {
    let session = fixture.session(true).await;
    let run = &runs(fixture, &session).await[0];
    let agent =
        json!({ "sid": "PA_primary", "identity": format!("agent-{}", id(run)), "kind": "AGENT" });
    deliver(
        app,
        &event(
            &format!("EV_{}", id(&session)),
            "participant_joined",
            &session,
            now(),
            Some(agent),
        ),
    )
    .await
    .expect(200);
    eventually("running", async || {
        let session = fixture.read(&session).await;
        (session["state"] == "running").then_some(session)
    })
    .await
}

async fn session_items(fixture: &Fixture, session: &Value, of: &str) -> Vec<Value> {
    let path = fixture.at(&format!("sessions/{}/{of}?limit=100", id(session)));
    fixture.admin.get(&path).await.expect(200)["data"]
        .as_array()
        .unwrap()
        .clone()
}

async fn runs(fixture: &Fixture, session: &Value) -> Vec<Value> {
    session_items(fixture, session, "agent-runs").await
}

fn attach_path(fixture: &Fixture, session: &Value) -> String {
    fixture.at(&format!("sessions/{}/attach", id(session)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_recorded_and_given_a_token_in_one_answer() {
    let app = TestApp::start_with(&LONG_DEADLINES).await;
    let fixture = app.tenant("acme").await;
    let session = running(&app, &fixture).await;
    let path = attach_path(&fixture, &session);
    let user = json!({ "email": "ada@example.org", "display_name": "Ada" });
    let user = fixture
        .admin
        .post(&fixture.at("users"), &user)
        .await
        .expect(201);
    let body = json!({ "type": "user", "user_id": user["id"] });
    let keyed = fixture.admin.with_header("idempotency-key", "a");
    let made = keyed.post(&path, &body).await.expect(201);
    let identity = format!("usr_{}", id(&user));
    assert_eq!(made["participant"]["identity"], identity);
    assert_eq!(
        (&made["participant"]["name"], &made["participant"]["sid"]),
        (&json!("Ada"), &Value::Null)
    );
    assert_eq!(made["token"]["participant_identity"], identity);
    assert!(
        made["participant"]["invited_at"].is_string()
            && made["token"]["participant_token"].is_string()
    );
    let replay = keyed.post(&path, &body).await.expect(201);
    assert_eq!(
        (&replay["participant"], &replay["token"]),
        (&made["participant"], &Value::Null)
    );

    let ada = json!({ "sid": "PA_ada", "identity": identity, "name": "Ada", "kind": "STANDARD" });
    deliver(
        &app,
        &event("EV_ada", "participant_joined", &session, now(), Some(ada)),
    )
    .await
    .expect(200);
    let joined = eventually("she has joined", async || {
        let people = session_items(&fixture, &session, "participants").await;
        people.into_iter().find(|p| p["sid"] == "PA_ada")
    })
    .await;
    assert_eq!(
        joined["id"], made["participant"]["id"],
        "the invitation and the stay are one record"
    );
    let events = session_items(&fixture, &session, "events").await;
    let about: Vec<_> = events
        .iter()
        .filter(|e| e["participant"] == identity)
        .map(|e| &e["kind"])
        .collect();
    assert_eq!(about, ["participant.joined", "participant.invited"]);
    fixture
        .admin
        .post(&path, &body)
        .await
        .expect_error(409, "identity_in_use");

    fixture
        .admin
        .delete(&fixture.at(&format!("users/{}", id(&user))))
        .await
        .expect(204);
    let people = session_items(&fixture, &session, "participants").await;
    assert!(
        people
            .iter()
            .any(|p| p["identity"] == identity && p["name"] == ""),
        "{people:?}"
    );
    keyed.post(&path, &body).await.expect_error(410, "erased");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_agent_comes_and_goes_and_the_session_runs_on() {
    let app = TestApp::start_with(&[
        "--join-deadline=1s",
        "--agent-grace=60s",
        "--reconcile-interval=60s",
    ])
    .await;
    let fixture = app.tenant("acme").await;
    let session = running(&app, &fixture).await;
    let other = fixture
        .admin
        .post(&fixture.at("agents"), &json!({ "name": "supervisor" }))
        .await
        .expect(201);
    let binding = json!({
        "prompt_version_id": fixture.prompt_version, "runtime_config_version_id": fixture.config_version,
    });
    let at = fixture.at(&format!("agents/{}/bindings", id(&other)));
    let binding = fixture.admin.post(&at, &binding).await.expect(201);
    let path = attach_path(&fixture, &session);
    let body =
        json!({ "type": "agent", "agent_id": other["id"], "variables": { "company": "Beta" } });
    fixture
        .admin
        .post(&path, &body)
        .await
        .expect_error(409, "no_active_binding");
    let mut named = body.clone();
    named["binding_id"] = binding["id"].clone();
    let made = fixture.admin.post(&path, &named).await.expect(201);
    let run = made["agent_run"].clone();
    assert_eq!(
        (&run["primary"], &run["agent_id"], &made["token"]),
        (&json!(false), &other["id"], &Value::Null)
    );
    let state_of = async |run: &Value, state: &str| {
        eventually(state, async || {
            let runs = runs(&fixture, &session).await;
            runs.into_iter()
                .find(|r| r["id"] == run["id"] && r["state"] == state)
        })
        .await
    };
    let config = fixture.at(&format!(
        "sessions/{}/agent-runs/{}/config",
        id(&session),
        id(&run)
    ));
    let config = app.worker().get(&config).await.expect(200);
    assert_eq!(
        config["prompt"], "You answer for Beta.",
        "it has a prompt of its own"
    );
    let agent = fixture.at(&format!("agents/{}", id(&other)));
    fixture
        .admin
        .delete(&agent)
        .await
        .expect_error(409, "agent_in_use");
    // LiveKit has the dispatch and no worker takes it; the session is not affected.
    let dispatched = state_of(&run, "no_show").await;
    assert!(dispatched["dispatch_id"].is_string(), "{dispatched}");
    assert_eq!(fixture.read(&session).await["state"], "running");

    let second = fixture.admin.post(&path, &named).await.expect(201)["agent_run"].clone();
    let agent = json!({ "sid": "PA_second", "identity": format!("agent-{}", id(&second)), "kind": "AGENT" });
    deliver(
        &app,
        &event(
            "EV_in",
            "participant_joined",
            &session,
            now(),
            Some(agent.clone()),
        ),
    )
    .await
    .expect(200);
    state_of(&second, "joined").await;
    let mut gone = agent;
    gone["disconnectReason"] = "CLIENT_INITIATED".into();
    deliver(
        &app,
        &event("EV_out", "participant_left", &session, now(), Some(gone)),
    )
    .await
    .expect(200);
    state_of(&second, "lost").await;
    let session = fixture.read(&session).await;
    assert_eq!(session["state"], "running");
    let primary = runs(&fixture, &session)
        .await
        .into_iter()
        .find(|run| run["primary"] == true);
    assert_eq!(primary.unwrap()["state"], "joined");
    let events = session_items(&fixture, &session, "events").await;
    let about: Vec<_> = events
        .iter()
        .rev()
        .filter(|e| e["agent_run_id"] == second["id"])
        .map(|e| e["kind"].clone())
        .collect();
    assert_eq!(about.first(), Some(&json!("run.pending")));
    assert_eq!(about[about.len() - 2..], ["run.joined", "run.lost"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_never_came_has_not_been_there() {
    let app = TestApp::start_with(&LONG_DEADLINES).await;
    let fixture = app.tenant("acme").await;
    let session = running(&app, &fixture).await;
    let path = attach_path(&fixture, &session);
    let user = json!({ "type": "user", "name": "Ada" });
    fixture.admin.post(&path, &user).await.expect(201);
    deliver(
        &app,
        &event("EV_over", "room_finished", &session, now(), None),
    )
    .await
    .expect(200);
    let ended = eventually("ended", async || {
        let session = fixture.read(&session).await;
        (session["state"] == "ended").then_some(session)
    })
    .await;
    assert_eq!(ended["end_reason"], "abandoned");
    let people = session_items(&fixture, &session, "participants").await;
    let ada = people.iter().find(|p| p["name"] == "Ada").unwrap();
    assert_eq!(
        (&ada["joined_at"], &ada["left_at"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_attached_is_refused_by_name() {
    let app = TestApp::start_with(&[&LONG_DEADLINES[..], &["--max-participants=3"]].concat()).await;
    let fixture = app.tenant("acme").await;
    let session = running(&app, &fixture).await;
    let path = attach_path(&fixture, &session);
    let violations = async |body: Value| fixture.admin.post(&path, &body).await.violations();
    let mut found =
        violations(json!({ "type": "user", "agent_id": fixture.agent, "number": "+4930123456" }))
            .await;
    found.sort();
    assert_eq!(
        found,
        [
            ("/agent_id".into(), "unknown_field".into()),
            ("/number".into(), "unknown_field".into())
        ]
    );
    assert_eq!(
        violations(json!({ "type": "agent" })).await,
        [("/agent_id".into(), "missing_field".into())]
    );
    assert_eq!(
        violations(json!({ "type": "user", "identity": "agent-x" })).await,
        [("/identity".into(), "reserved".into())]
    );
    let agent = json!({ "type": "agent", "agent_id": fixture.agent });
    assert_eq!(
        violations(agent).await,
        [("/variables/company".into(), "missing_variable".into())]
    );
    let phone = json!({ "type": "phone", "number": "+4930123456" });
    fixture
        .admin
        .post(&path, &phone)
        .await
        .expect_error(409, "telephony_not_configured");
    let user = json!({ "type": "user" });
    let half = app.key(&fixture.tenant, &["sessions:write"]).await;
    half.post(&path, &user)
        .await
        .expect_error(403, "missing_scope");
    // The primary agent is one of three.
    fixture.admin.post(&path, &user).await.expect(201);
    fixture.admin.post(&path, &user).await.expect(201);
    fixture
        .admin
        .post(&path, &user)
        .await
        .expect_error(409, "too_many_participants");
    let created = fixture.session(false).await;
    fixture
        .admin
        .post(&attach_path(&fixture, &created), &user)
        .await
        .expect_error(409, "session_not_joinable");
}
