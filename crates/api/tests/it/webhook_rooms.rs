//! Webhook events are applied by several processes, room by room.

use diesel::{QueryableByName, sql_types::Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::support::{
    FakeLiveKit, Fault, Fixture, TestApp, count, deliver, event, eventually, id, now,
};

fn participant(name: &str) -> Option<Value> {
    Some(json!({ "sid": format!("PA_{name}"), "identity": name, "name": name }))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_apply_each_event_once() {
    const SESSIONS: usize = 6;
    const PEOPLE: usize = 30;
    let settings = ["--join-deadline=10m", "--reconcile-interval=10m"];
    let app = TestApp::start_with(&settings).await;
    let beside = app.beside(&settings);
    let fixture = app.tenant("acme").await;
    let sessions = join_all((0..SESSIONS).map(|_| fixture.session(true))).await;
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    // Every event arrives at both processes, and twice at one of them.
    let mut deliveries = Vec::new();
    for person in 0..PEOPLE {
        for (number, session) in sessions.iter().enumerate() {
            let (name, id) = (format!("p{person}"), format!("EV_{number}_{person}"));
            let joined = event(
                &id,
                "participant_joined",
                session,
                now() - 5,
                participant(&name),
            );
            deliveries.extend([
                (&app, joined.clone()),
                (&beside, joined.clone()),
                (&app, joined),
            ]);
        }
    }
    for some in deliveries.chunks(15) {
        let sent = some.iter().map(|(app, event)| deliver(app, event));
        for answer in join_all(sent).await {
            answer.expect(200);
        }
    }
    eventually("all are applied", async || {
        let waiting = count(&mut database, "webhook_events WHERE applied_at IS NULL").await;
        (waiting == 0).then_some(())
    })
    .await;
    let all = i64::try_from(SESSIONS * PEOPLE).unwrap();
    assert_eq!(
        count(&mut database, "webhook_events WHERE attempts = 0").await,
        all
    );
    let enter = format!("SET app.tenant_id = '{}'", fixture.tenant);
    database.batch_execute(&enter).await.unwrap();
    assert_eq!(count(&mut database, "participants").await, all);
    let joined = "session_events WHERE kind = 'participant.joined'";
    assert_eq!(count(&mut database, joined).await, all, "each is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_says_nothing_about_a_session_is_not_stored() {
    let app = TestApp::start_with(&["--join-deadline=10m"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    for (number, name) in [
        "track_unpublished",
        "egress_started",
        "ingress_ended",
        "of_tomorrow",
    ]
    .iter()
    .enumerate()
    {
        let event = event(
            &format!("EV_{number}"),
            name,
            &session,
            now(),
            participant("ada"),
        );
        deliver(&app, &event).await.expect(200);
    }
    let published =
        |id: &str, name: &str| event(id, "track_published", &session, now(), participant(name));
    deliver(&app, &published("EV_person", "ada"))
        .await
        .expect(200);
    assert_eq!(count(&mut database, "webhook_events").await, 0);
    // It is when an inbound call is answered.
    deliver(&app, &published("EV_agent", "agent-x"))
        .await
        .expect(200);
    assert_eq!(count(&mut database, "webhook_events").await, 1);
}

#[derive(QueryableByName)]
struct Rule {
    #[diesel(sql_type = Text)]
    rule_sid: String,
}

/// An inbound call that is refused, as the mapping's agent has no active binding: its room is deleted in LiveKit.
async fn refused_call(app: &TestApp, fixture: &Fixture, database: &mut AsyncPgConnection) -> Value {
    let number = format!("+49302{:07}", std::process::id() % 9_000_000 + 1_000_000);
    let mapping = fixture.mapping(&number).await;
    let query = "SELECT coalesce(rule_sid, '') AS rule_sid FROM sip_objects";
    let rule = eventually("the mapping is in LiveKit", async || {
        let row: Rule = diesel::sql_query(query).get_result(database).await.unwrap();
        Some(row.rule_sid).filter(|sid| !sid.is_empty())
    })
    .await;
    let enter = format!("SET app.tenant_id = '{}'", fixture.tenant);
    let unbind = format!("{enter}; UPDATE agents SET active_binding_id = NULL");
    database.batch_execute(&unbind).await.unwrap();
    let room = json!({
        "room_name": format!("{}-in-{mapping}_+4930777_x", app.schema()), "room_sid": "RM_in",
    });
    let caller = json!({
        "sid": "PA_caller", "identity": "sip_x", "kind": "SIP", "attributes": { "sip.ruleID": rule },
    });
    event(
        "EV_refused",
        "participant_joined",
        &room,
        now(),
        Some(caller),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_waits_for_livekit_holds_up_no_other() {
    let fake = FakeLiveKit::start();
    let url = format!("--livekit-url={}", fake.url);
    let app = TestApp::start_with(&[&url, "--join-deadline=10m"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    let refused = refused_call(&app, &fixture, &mut database).await;
    let patient = app.beside(&[&url, "--join-deadline=10m", "--livekit-timeout=10m"]);
    app.server.stop(std::time::Duration::ZERO).await;
    fake.set("DeleteRoom", Fault::Held);
    deliver(&patient, &refused).await.expect(200);
    eventually("it waits for LiveKit", async || {
        (fake.calls("DeleteRoom") == 1).then_some(())
    })
    .await;
    let joined = event(
        "EV_agent",
        "participant_joined",
        &session,
        now(),
        participant("ada"),
    );
    deliver(&patient, &joined).await.expect(200);
    eventually("the other is applied meanwhile", async || {
        let waiting = count(&mut database, "webhook_events WHERE applied_at IS NULL").await;
        (waiting == 1).then_some(())
    })
    .await;
    fake.set("DeleteRoom", Fault::None);
    eventually("and this one in the end", async || {
        let waiting = count(&mut database, "webhook_events WHERE applied_at IS NULL").await;
        (waiting == 0).then_some(())
    })
    .await;
    let people = patient.with_key(&fixture.key);
    let people = people
        .get(&fixture.at(&format!("sessions/{}/participants", id(&session))))
        .await;
    assert_eq!(people.expect(200)["data"].as_array().unwrap().len(), 1);
}
