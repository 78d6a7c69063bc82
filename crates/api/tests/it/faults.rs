//! Faults of LiveKit: a start whose request hangs, fails or loses its response.

use livekit_protocol as proto;
use serde_json::Value;

use super::support::{FakeLiveKit, Fault, Fixture, TestApp, eventually, id};

async fn app(fake: &FakeLiveKit, more: &[&str]) -> (TestApp, Fixture) {
    let url = format!("--livekit-url={}", fake.url);
    let mut settings = vec![&*url, "--livekit-timeout=300ms", "--start-wait=400ms"];
    settings.extend(more);
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    (app, fixture)
}

async fn until(fixture: &Fixture, session: &Value, test: impl Fn(&Value) -> bool) -> Value {
    eventually("the session", async || {
        let session = fixture.read(session).await;
        test(&session).then_some(session)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_survives_every_fault_and_dispatches_once() {
    for fault in [Fault::Hang, Fault::Broken, Fault::Garbage, Fault::Lost] {
        let fake = FakeLiveKit::start();
        let (app, fixture) = app(&fake, &[]).await;
        fake.set("CreateRoom", fault);
        let session = fixture.session(true).await;
        assert_eq!(session["state"], "starting", "{fault:?}");
        let waiting = until(&fixture, &session, |s| s["error"].is_object()).await;
        assert_eq!(waiting["error"]["code"], "livekit_unavailable");
        assert!(waiting["dispatched_at"].is_null());
        fake.set("CreateRoom", Fault::None);
        let started = until(&fixture, &session, |s| s["dispatched_at"].is_string()).await;
        assert!(started["error"].is_null(), "{fault:?}");
        assert!(fake.calls("CreateRoom") >= 2, "{fault:?}");
        let room = session["room_name"].as_str().unwrap();
        let dispatches = app.livekit().list_dispatches(room).await.unwrap();
        assert_eq!(dispatches.len(), 1, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_fails_only_at_its_deadline() {
    let fake = FakeLiveKit::start();
    let (_app, fixture) = app(&fake, &["--start-deadline=2s"]).await;
    fake.set("CreateRoom", Fault::Broken);
    let session = fixture.session(true).await;
    let path = fixture.at(&format!(
        "sessions/{}/start",
        session["id"].as_str().unwrap()
    ));
    fixture.admin.act(&path).await.expect(202);
    let failed = until(&fixture, &session, |s| s["state"] == "failed").await;
    assert_eq!(failed["end_reason"], "livekit_unavailable");
    assert!(
        failed["error"]["message"].as_str().unwrap().contains("500"),
        "{failed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_livekit_in_the_background() {
    let fake = FakeLiveKit::start();
    let (_app, fixture) = app(&fake, &[]).await;
    let session = fixture.session(true).await;
    let path = fixture.at(&format!(
        "sessions/{}/stop",
        session["id"].as_str().unwrap()
    ));
    fake.set("DeleteRoom", Fault::Hang);
    assert_eq!(
        fixture.admin.act(&path).await.expect(202)["state"],
        "stopping"
    );
    fake.set("DeleteRoom", Fault::None);
    until(&fixture, &session, |s| s["state"] == "ended").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_second_dispatch_does_not_dispatch_twice() {
    let fake = FakeLiveKit::start();
    let url = format!("--livekit-url={}", fake.url);
    let settings = [&*url, "--join-deadline=60s", "--dispatch-check=1s"];
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    fake.set("CreateDispatch", Fault::Lost);
    let session = fixture.session(true).await;
    let room = session["room_name"].as_str().unwrap().to_owned();
    let path = fixture.at(&format!(
        "sessions/{}/agent-runs",
        session["id"].as_str().unwrap()
    ));
    eventually("the second dispatch is recorded", async || {
        let runs = fixture.admin.get(&path).await.expect(200);
        let run = &runs["data"][0];
        (run["dispatch_id"].is_string() && run["dispatches"] == 2).then_some(())
    })
    .await;
    assert_eq!(fake.calls("CreateDispatch"), 1, "found, not repeated");
    let dispatches = app.livekit().list_dispatches(&room).await.unwrap();
    assert_eq!(dispatches.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_no_node_has_is_made_anew_and_deleted() {
    let fake = FakeLiveKit::start();
    let (app, fixture) = app(&fake, &[]).await;
    let session = fixture.session(true).await;
    until(&fixture, &session, |s| s["dispatched_at"].is_string()).await;
    let (made, room) = (
        fake.calls("CreateRoom"),
        session["room_name"].as_str().unwrap(),
    );
    fake.set("DeleteRoom", Fault::NoNode);
    let path = fixture.at(&format!(
        "sessions/{}/stop",
        session["id"].as_str().unwrap()
    ));
    fixture.admin.act(&path).await;
    until(&fixture, &session, |s| s["state"] == "ended").await;
    assert_eq!(fake.calls("CreateRoom"), made + 1);
    let livekit = app.livekit();
    let rooms = livekit.list_rooms(vec![room.to_owned()]).await.unwrap();
    assert!(rooms.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_overtakes_a_start_that_hangs() {
    let fake = FakeLiveKit::start();
    let (_app, fixture) = app(&fake, &[]).await;
    fake.set("CreateRoom", Fault::Hang);
    let session = fixture.session(true).await;
    let path = fixture.at(&format!(
        "sessions/{}/stop",
        session["id"].as_str().unwrap()
    ));
    let reason = serde_json::json!({ "reason": "changed_my_mind" });
    fixture.admin.post(&path, &reason).await;
    fake.set("CreateRoom", Fault::None);
    let ended = until(&fixture, &session, |s| s["state"] == "ended").await;
    assert_eq!(ended["end_reason"], "changed_my_mind");
    assert!(ended["running_at"].is_null() && ended["dispatched_at"].is_null());
}

/// A session whose agent is in the room.
async fn running() -> (FakeLiveKit, TestApp, Fixture, Value) {
    let fake = FakeLiveKit::start();
    fake.exchange().with_agents();
    let (app, fixture) = app(&fake, &[]).await;
    let session = fixture.session(true).await;
    until(&fixture, &session, |s| s["state"] == "running").await;
    (fake, app, fixture, session)
}

fn second_agent(room: &str, state: proto::participant_info::State) -> proto::ParticipantInfo {
    proto::ParticipantInfo {
        sid: format!("PA_second_{room}"),
        identity: "agent-second".to_owned(),
        kind: proto::participant_info::Kind::Agent.into(),
        state: state.into(),
        ..proto::ParticipantInfo::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_be_removed_stops_nothing() {
    let (fake, _app, fixture, session) = running().await;
    let room = session["room_name"].as_str().unwrap();
    fake.set("RemoveParticipant", Fault::Broken);
    let second = second_agent(room, proto::participant_info::State::Active);
    fake.exchange().enters(room, second);
    eventually("it is to be removed, again and again", async || {
        (fake.calls("RemoveParticipant") > 2).then_some(())
    })
    .await;
    // The run's own agent is lost, and replaced after its grace period.
    let first = fixture.runs(&session).await[0].clone();
    let identity = first["participant_identity"].as_str().unwrap();
    fake.exchange().leaves(identity);
    eventually("it is replaced", async || {
        (fixture.runs(&session).await.len() == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_still_joining_is_not_removed() {
    let (fake, _app, fixture, session) = running().await;
    let room = session["room_name"].as_str().unwrap();
    let joining = second_agent(room, proto::participant_info::State::Joined);
    fake.exchange().enters(room, joining);
    let looked = fake.calls("ListParticipants");
    eventually("the room was looked at", async || {
        (fake.calls("ListParticipants") > looked + 3).then_some(())
    })
    .await;
    assert_eq!(fake.calls("RemoveParticipant"), 0);
    let path = fixture.at(&format!("sessions/{}/participants", id(&session)));
    let known = fixture.admin.get(&path).await.expect(200);
    assert_eq!(known["data"].as_array().unwrap().len(), 1, "{known}");
    fake.exchange().leaves("agent-second");
    let joined = second_agent(room, proto::participant_info::State::Active);
    fake.exchange().enters(room, joined);
    eventually("it is removed", async || {
        (fake.calls("RemoveParticipant") > 0).then_some(())
    })
    .await;
}
