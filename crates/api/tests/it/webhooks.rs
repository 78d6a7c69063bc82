//! Webhooks: forged, altered, duplicated, out of order, unknown and late.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Bool, Jsonb},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Fixture, TestApp, deliver, event, eventually, now, sign};

const PATH: &str = "/api/livekit/webhooks";

fn agent(sid: &str, more: Value) -> Option<Value> {
    let mut participant =
        json!({ "sid": sid, "identity": "agent-x", "name": "agent", "kind": "AGENT" });
    participant
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Some(participant)
}

async fn state_is(fixture: &Fixture, session: &Value, state: &str) -> Value {
    eventually(state, async || {
        let session = fixture.read(session).await;
        (session["state"] == state).then_some(session)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_altered_events_are_refused() {
    let app = TestApp::start().await;
    let body = json!({ "id": "EV_1", "event": "room_started" })
        .to_string()
        .into_bytes();
    let send = async |authorization: &str, body: &[u8]| {
        let client = app.anonymous().with_header("authorization", authorization);
        let client = client.with_header("content-type", "application/webhook+json");
        client.send(Method::POST, PATH, Some(body.to_vec())).await
    };
    send(&sign(&body), &body).await.expect(200);
    let altered = [&body[..], b" "].concat();
    send(&sign(&body), &altered)
        .await
        .expect_error(401, "invalid_signature");
    send("", &body).await.expect_error(401, "invalid_signature");
    send("Bearer x", &body)
        .await
        .expect_error(401, "invalid_signature");
    let forged = super::support::sign_with(&body, "another secret of at least 32 characters");
    send(&forged, &body)
        .await
        .expect_error(401, "invalid_signature");
    let garbage = b"[]".to_vec();
    send(&sign(&garbage), &garbage)
        .await
        .expect_error(400, "invalid_json");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_joins_makes_the_session_run() {
    let app = TestApp::start_with(&["--join-deadline=20s", "--agent-grace=30s"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let user = json!({ "sid": "PA_u", "identity": "ada", "name": "Ada", "futureField": {}, "kind": "STANDARD" });
    deliver(
        &app,
        &event("EV_u", "participant_joined", &session, now(), Some(user)),
    )
    .await
    .expect(200);
    let joined = event(
        "EV_a",
        "participant_joined",
        &session,
        now(),
        agent("PA_a", json!({})),
    );
    deliver(&app, &joined).await.expect(200);
    deliver(&app, &joined).await.expect(200);
    deliver(
        &app,
        &event(
            "EV_x",
            "something_new",
            &session,
            now(),
            agent("PA_x", json!({ "kind": "HOLOGRAM" })),
        ),
    )
    .await
    .expect(200);
    // An enum value without a name arrives as a number, and an unset one as null.
    let unnamed = agent(
        "PA_y",
        json!({ "kind": 9, "disconnectReason": 42, "name": null }),
    );
    deliver(
        &app,
        &event("EV_y", "something_new", &session, now(), unnamed),
    )
    .await
    .expect(200);
    let running = state_is(&fixture, &session, "running").await;
    assert!(running["running_at"].is_string());
    let path = fixture.at(&format!(
        "sessions/{}/participants",
        session["id"].as_str().unwrap()
    ));
    let people = fixture.admin.get(&path).await.expect(200);
    assert_eq!(people["data"].as_array().unwrap().len(), 2);
    let events = fixture.at("audit-events?action=session.running");
    let events = fixture.admin.get(&events).await.expect(200);
    assert_eq!(
        events["data"].as_array().unwrap().len(),
        1,
        "once, whatever comes twice"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_in_reverse_order_end_the_same() {
    let app = TestApp::start_with(&["--join-deadline=20s", "--agent-grace=30s"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let at = now() - 60;
    let user = |more: Value| {
        let mut user = json!({ "sid": "PA_u", "identity": "ada", "name": "Ada" });
        user.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        Some(user)
    };
    let left = user(json!({ "disconnectReason": "CLIENT_INITIATED" }));
    deliver(
        &app,
        &event("EV_2", "participant_left", &session, at + 30, left),
    )
    .await
    .expect(200);
    deliver(
        &app,
        &event("EV_1", "participant_joined", &session, at, user(json!({}))),
    )
    .await
    .expect(200);
    let path = fixture.at(&format!(
        "sessions/{}/participants",
        session["id"].as_str().unwrap()
    ));
    let stay = eventually("both recorded", async || {
        let people = fixture.admin.get(&path).await.expect(200);
        let stay = people["data"][0].clone();
        (stay["joined_at"].is_string() && stay["left_at"].is_string()).then_some(stay)
    })
    .await;
    assert_eq!(stay["disconnect_reason"], "CLIENT_INITIATED");
    deliver(
        &app,
        &event("EV_4", "room_finished", &session, at + 40, None),
    )
    .await
    .expect(200);
    let ended = state_is(&fixture, &session, "ended").await;
    assert_eq!(ended["end_reason"], "completed");
    let late = event(
        "EV_3",
        "participant_joined",
        &session,
        at + 35,
        agent("PA_a", json!({})),
    );
    deliver(&app, &late).await.expect(200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        fixture.read(&session).await["state"],
        "ended",
        "late events leave no terminal state"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_room_under_the_same_name_is_ignored() {
    let app = TestApp::start_with(&["--join-deadline=20s"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let mut other = session.clone();
    other["room_sid"] = json!("RM_other");
    deliver(
        &app,
        &event(
            "EV_1",
            "participant_joined",
            &other,
            now(),
            agent("PA_a", json!({})),
        ),
    )
    .await
    .expect(200);
    deliver(&app, &event("EV_2", "room_finished", &other, now(), None))
        .await
        .expect(200);
    let mut unknown = session.clone();
    unknown["room_name"] = json!("somebody-elses-room");
    deliver(&app, &event("EV_3", "room_finished", &unknown, now(), None))
        .await
        .expect(200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(fixture.read(&session).await["state"], "starting");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_agent_is_replaced_once() {
    let app = TestApp::start_with(&["--join-deadline=1s"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    deliver(
        &app,
        &event(
            "EV_1",
            "participant_joined",
            &session,
            now(),
            agent("PA_a", json!({})),
        ),
    )
    .await
    .expect(200);
    let lost = agent("PA_a", json!({ "disconnectReason": "CONNECTION_TIMEOUT" }));
    deliver(
        &app,
        &event("EV_2", "participant_left", &session, now(), lost),
    )
    .await
    .expect(200);
    let failed = state_is(&fixture, &session, "failed").await;
    assert_eq!(failed["end_reason"], "agent_lost");
    let path = fixture.at(&format!(
        "sessions/{}/agent-runs",
        session["id"].as_str().unwrap()
    ));
    let runs = fixture.admin.get(&path).await.expect(200);
    let states: Vec<_> = runs["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["state"].clone())
        .collect();
    assert_eq!(states, [json!("no_show"), json!("lost")]);
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = Jsonb)]
    payload: Value,
    #[diesel(sql_type = Bool)]
    applied: bool,
}

async fn kept(database: &mut AsyncPgConnection, id: &str) -> Kept {
    let query = "SELECT payload, applied_at IS NOT NULL AS applied FROM webhook_events WHERE id = ";
    let query = diesel::sql_query(format!("{query}'{id}'"));
    query.get_result(database).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_blank_once_it_is_applied_or_given_up() {
    let app = TestApp::start_with(&["--join-deadline=20s", "--agent-grace=30s"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    let ada = |sid: &str| {
        Some(json!({ "sid": sid, "identity": "ada", "name": "Ada", "kind": "STANDARD" }))
    };
    let nobodys = json!({ "room_name": "somebody-elses", "room_sid": "RM_x" });
    for (id, session) in [("EV_ours", &session), ("EV_nobodys", &nobodys)] {
        let joined = event(id, "participant_joined", session, now(), ada("PA_1"));
        deliver(&app, &joined).await.expect(200);
        let kept = eventually("it is applied", async || {
            let kept = kept(&mut database, id).await;
            kept.applied.then_some(kept)
        })
        .await;
        assert_eq!(
            kept.payload,
            json!({ "event": "participant_joined" }),
            "{id}"
        );
    }
    // An event that cannot be applied is kept for an hour.
    let broken = "REVOKE INSERT ON session_events FROM patchbay_app";
    database.batch_execute(broken).await.unwrap();
    let joined = event(
        "EV_stuck",
        "participant_joined",
        &session,
        now(),
        ada("PA_2"),
    );
    deliver(&app, &joined).await.expect(200);
    let postponed = "SELECT payload, next_try_at > received_at AS applied FROM webhook_events WHERE id = 'EV_stuck'";
    eventually("it is postponed", async || {
        let kept: Kept = diesel::sql_query(postponed)
            .get_result(&mut database)
            .await
            .unwrap();
        (kept.applied && kept.payload["participant"]["name"] == "Ada").then_some(())
    })
    .await;
    let later =
        "UPDATE webhook_events SET received_at = now() - interval '61 minutes', next_try_at = now()
                 WHERE id = 'EV_stuck'";
    database.batch_execute(later).await.unwrap();
    eventually("it is given up", async || {
        let kept = kept(&mut database, "EV_stuck").await;
        (kept.applied && kept.payload == json!({ "event": "participant_joined" })).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_has_applied_is_blanked_too() {
    let app = TestApp::start_with(&["--purge-interval=300ms"]).await;
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    let whole = r#"INSERT INTO webhook_events (id, received_at, payload, next_try_at, applied_at) VALUES
        ('EV_old', now(), '{"event": "room_finished", "room": {"name": "x_+4930777777_y"}}', now(), now())"#;
    database.batch_execute(whole).await.unwrap();
    eventually("it is blank", async || {
        let kept = kept(&mut database, "EV_old").await;
        (kept.payload == json!({ "event": "room_finished" })).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_is_ordered_by_time_whatever_livekits_seconds() {
    let app = TestApp::start_with(&["--join-deadline=20s", "--agent-grace=30s"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    // Second for second, the last one happened before the session was created.
    let people = [("PA_a", now()), ("PA_b", now() - 1), ("PA_c", now() - 60)];
    for (sid, at) in people {
        let person = json!({ "sid": sid, "identity": sid, "name": "", "kind": "STANDARD" });
        let id = format!("EV_{sid}");
        let joined = event(&id, "participant_joined", &session, at, Some(person));
        deliver(&app, &joined).await.expect(200);
    }
    let path = fixture.at(&format!(
        "sessions/{}/events?limit=100",
        session["id"].as_str().unwrap()
    ));
    let events = eventually("all have joined", async || {
        let page = fixture.admin.get(&path).await.expect(200);
        let events = page["data"].as_array().unwrap().clone();
        let joined = events.iter().filter(|e| e["kind"] == "participant.joined");
        (joined.count() == people.len()).then_some(events)
    })
    .await;
    let time = |value: &Value| -> DateTime<Utc> { value.as_str().unwrap().parse().unwrap() };
    let times: Vec<_> = events
        .iter()
        .rev()
        .map(|event| time(&event["at"]))
        .collect();
    assert!(times.is_sorted(), "{events:?}");
    let created = time(&session["created_at"]);
    assert!(times[0] >= created, "{events:?}");
    let path = fixture.at(&format!(
        "sessions/{}/participants",
        session["id"].as_str().unwrap()
    ));
    let page = fixture.admin.get(&path).await.expect(200);
    for participant in page["data"].as_array().unwrap() {
        assert!(time(&participant["joined_at"]) >= created, "{participant}");
    }
}
