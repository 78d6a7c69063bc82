//! Outbound calls, against the real LiveKit and a fake SIP service that behaves as carriers may.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Callee, FakeLiveKit, Fixture, TestApp, eventually, id};

pub(super) const CALLEE: &str = "+4930123456";

/// A tenant with a trunk; agents join at once.
pub(super) async fn world(more: &[&str]) -> (FakeLiveKit, TestApp, Fixture) {
    let fake = FakeLiveKit::start();
    fake.exchange().with_agents();
    let url = format!("--livekit-url={}", fake.url);
    let mut settings = vec![&*url, "--call-poll=100ms", "--outbound-allow=127.0.0.0/8"];
    settings.extend(more);
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    trunk(&fixture, "carrier").await;
    (fake, app, fixture)
}

/// A synced trunk.
pub(super) async fn trunk(fixture: &Fixture, name: &str) -> Value {
    let body = json!({
        "name": name, "address": "127.0.0.1:5060", "transport": "udp", "numbers": ["+4930654321"],
    });
    let path = fixture.at("sip-trunks");
    let made = fixture.admin.post(&path, &body).await.expect(201);
    let path = format!("{path}/{}", id(&made));
    eventually("LiveKit has the trunk", async || {
        let trunk = fixture.admin.get(&path).await.expect(200);
        (trunk["sync"]["state"] == "synced").then_some(trunk)
    })
    .await
}

pub(super) fn body(fixture: &Fixture) -> Value {
    json!({
        "agent_id": fixture.agent, "to": CALLEE, "variables": { "company": "Acme" }, "start": true,
        "ring_timeout_seconds": 5,
    })
}

pub(super) async fn call(fixture: &Fixture) -> Value {
    let body = body(fixture);
    fixture
        .admin
        .post(&fixture.at("calls"), &body)
        .await
        .expect(201)
}

async fn read(fixture: &Fixture, call: &Value) -> Value {
    let path = fixture.at(&format!("calls/{}", id(call)));
    fixture.admin.get(&path).await.expect(200)
}

pub(super) async fn becomes(fixture: &Fixture, call: &Value, state: &str) -> Value {
    eventually(state, async || {
        let call = read(fixture, call).await;
        (call["state"] == state).then_some(call)
    })
    .await
}

async fn session_of(fixture: &Fixture, call: &Value) -> Value {
    let path = fixture.at(&format!(
        "sessions/{}",
        call["session_id"].as_str().unwrap()
    ));
    fixture.admin.get(&path).await.expect(200)
}

async fn session_ends(fixture: &Fixture, call: &Value) -> Value {
    eventually("the session's end", async || {
        let session = session_of(fixture, call).await;
        (session["state"] == "ended" || session["state"] == "failed").then_some(session)
    })
    .await
}

pub(super) fn identity(call: &Value) -> String {
    format!("sip_{}", id(call))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_dialled_once_answered_and_hung_up() {
    let (fake, _app, fixture) = world(&[]).await;
    let made = call(&fixture).await;
    let answered = becomes(&fixture, &made, "answered").await;
    assert!(answered["answered_at"].is_string() && answered["ended_at"].is_null());
    assert_eq!(answered["sip_call_id"], "SCL_1");
    let dials = fake.exchange().dials();
    assert_eq!(dials.len(), 1);
    let session = session_of(&fixture, &made).await;
    assert_eq!(session["state"], "running");
    assert_eq!(dials[0].room_name, session["room_name"].as_str().unwrap());
    assert_eq!(
        (&*dials[0].sip_call_to, &*dials[0].sip_number),
        (CALLEE, "+4930654321")
    );
    assert!(dials[0].wait_until_answered && !dials[0].sip_trunk_id.is_empty());
    fake.exchange().leaves(&identity(&made));
    let ended = becomes(&fixture, &made, "ended").await;
    assert_eq!(ended["end_reason"], "completed", "nobody said why it left");
    assert!(ended["talk_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(
        session_ends(&fixture, &made).await["end_reason"],
        "completed"
    );
    assert_eq!(fake.exchange().dials().len(), 1, "never again");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_reason() {
    let (fake, _app, fixture) = world(&[]).await;
    for (callee, reason) in [
        (Callee::Refuses(486), "busy"),
        (Callee::Refuses(603), "declined"),
        (Callee::Refuses(404), "invalid_number"),
        (Callee::Refuses(403), "trunk_auth"),
        (Callee::Refuses(503), "trunk_failure"),
        (Callee::Fails(408), "no_answer"),
        (Callee::Fails(503), "livekit_unavailable"),
        (Callee::Vanishes, "livekit_unavailable"),
    ] {
        fake.exchange().set(CALLEE, callee);
        let before = fake.exchange().dials().len();
        let made = call(&fixture).await;
        let failed = becomes(&fixture, &made, "failed").await;
        assert_eq!(failed["end_reason"], reason, "{callee:?}");
        assert!(failed["answered_at"].is_null() && failed["hangup_by"].is_null());
        if let Callee::Refuses(status) = callee {
            assert_eq!(failed["sip_status"], status);
            assert_eq!(failed["error"]["message"], "words of the carrier");
        }
        let session = session_ends(&fixture, &made).await;
        assert_eq!(session["end_reason"], reason, "{callee:?}");
        assert_eq!(fake.exchange().dials().len(), before + 1, "{callee:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_in_time() {
    let (fake, _app, fixture) = world(&[]).await;
    fake.exchange().set(CALLEE, Callee::Rings);
    let made = call(&fixture).await;
    let ringing = becomes(&fixture, &made, "ringing").await;
    assert!(ringing["ringing_at"].is_string() && ringing["ring_seconds"].is_null());
    let failed = becomes(&fixture, &made, "failed").await;
    assert_eq!(failed["end_reason"], "no_answer");
    assert!(failed["ring_seconds"].as_f64().unwrap() > 4.0, "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_takes_its_time_is_waited_for() {
    let (fake, _app, fixture) = world(&["--agent-grace=500ms"]).await;
    fake.exchange().set(CALLEE, Callee::Slow);
    let made = call(&fixture).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    // The participant is missing for longer than the grace period, but the dial request is still pending.
    assert_eq!(read(&fixture, &made).await["state"], "dialing");
    becomes(&fixture, &made, "answered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_found_in_the_room() {
    let (fake, _app, fixture) = world(&[]).await;
    fake.exchange().set(CALLEE, Callee::Garbled);
    let made = call(&fixture).await;
    becomes(&fixture, &made, "ringing").await;
    fake.exchange().becomes(&identity(&made), "active");
    becomes(&fixture, &made, "answered").await;
    assert_eq!(fake.exchange().dials().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_called_without_an_agent() {
    let fake = FakeLiveKit::start();
    let url = format!("--livekit-url={}", fake.url);
    let more = [
        &*url,
        "--outbound-allow=127.0.0.0/8",
        "--join-deadline=500ms",
    ];
    let app = TestApp::start_with(&more).await;
    let fixture = app.tenant("acme").await;
    trunk(&fixture, "carrier").await;
    let made = call(&fixture).await;
    assert_eq!(made["state"], "dialing");
    let failed = becomes(&fixture, &made, "failed").await;
    assert_eq!(failed["end_reason"], "no_worker");
    let why = failed["error"]["message"].as_str().unwrap();
    assert!(why.starts_with("No worker took"), "{why}");
    assert!(fake.exchange().dials().is_empty(), "nobody's phone rang");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_right_at_any_moment() {
    let (fake, _app, fixture) = world(&[]).await;
    let stop = async |call: &Value| {
        let path = fixture.at(&format!("calls/{}/stop", id(call)));
        fixture.admin.act(&path).await.expect(200)
    };
    let mut idle = body(&fixture);
    idle["start"] = json!(false);
    let path = fixture.at("calls");
    let made = fixture.admin.post(&path, &idle).await.expect(201);
    assert_eq!(made["state"], "created");
    let stopped = stop(&made).await;
    assert_eq!(
        (&stopped["state"], &stopped["end_reason"]),
        (&json!("canceled"), &json!("canceled"))
    );
    let start = fixture.at(&format!("calls/{}/start", id(&made)));
    fixture
        .admin
        .act(&start)
        .await
        .expect_error(409, "call_over");
    assert_eq!(fake.exchange().dials().len(), 0);

    fake.exchange().set(CALLEE, Callee::Rings);
    let made = call(&fixture).await;
    becomes(&fixture, &made, "ringing").await;
    let stopped = stop(&made).await;
    assert_eq!(
        (&stopped["state"], &stopped["hangup_by"]),
        (&json!("canceled"), &json!("us"))
    );
    assert_eq!(stop(&made).await["state"], "canceled", "twice is the same");

    fake.exchange().set(CALLEE, Callee::Answers);
    let made = call(&fixture).await;
    becomes(&fixture, &made, "answered").await;
    let stopped = stop(&made).await;
    assert_eq!(
        (&stopped["state"], &stopped["end_reason"]),
        (&json!("ended"), &json!("completed"))
    );
    assert_eq!(stopped["hangup_by"], "us");
    let session = session_of(&fixture, &made).await;
    let room = session["room_name"].as_str().unwrap();
    assert!(fake.exchange().telephones(room).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_hangs_up() {
    let (_fake, app, fixture) = world(&[]).await;
    let made = call(&fixture).await;
    becomes(&fixture, &made, "answered").await;
    let session = made["session_id"].as_str().unwrap();
    let stop = fixture.at(&format!("sessions/{session}/stop"));
    let reason = json!({ "reason": "agent_hangup" });
    app.worker().post(&stop, &reason).await.expect(200);
    let ended = becomes(&fixture, &made, "ended").await;
    assert_eq!(
        (&ended["end_reason"], &ended["hangup_by"]),
        (&json!("agent_hangup"), &json!("agent"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_in_time() {
    let (_fake, _app, fixture) = world(&[]).await;
    let mut body = body(&fixture);
    body["max_duration_seconds"] = json!(1);
    let made = fixture
        .admin
        .post(&fixture.at("calls"), &body)
        .await
        .expect(201);
    let ended = becomes(&fixture, &made, "ended").await;
    assert_eq!(
        (&ended["end_reason"], &ended["hangup_by"]),
        (&json!("max_duration"), &json!("us"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_telephone_comes_into_a_live_session_and_goes_alone() {
    let (fake, _app, fixture) = world(&[]).await;
    let session = fixture.session(true).await;
    let at = |rest: &str| fixture.at(&format!("sessions/{}/{rest}", id(&session)));
    let phone = json!({ "type": "phone", "number": "+49 30 123456" });
    let attached = fixture.admin.post(&at("attach"), &phone).await.expect(201);
    let made = &attached["call"];
    assert_eq!(made["primary"], false);
    becomes(&fixture, made, "answered").await;
    let room = session["room_name"].as_str().unwrap();
    assert_eq!(fake.exchange().telephones(room), [identity(made)]);
    let stop = fixture.at(&format!("calls/{}/stop", id(made)));
    assert_eq!(fixture.admin.act(&stop).await.expect(200)["state"], "ended");
    eventually("it leaves the room", async || {
        fake.exchange().telephones(room).is_empty().then_some(())
    })
    .await;
    assert_eq!(fixture.read(&session).await["state"], "running");
    let events = fixture
        .admin
        .get(&at("events?kind=call.answered"))
        .await
        .expect(200);
    assert_eq!(events["data"][0]["call_id"], made["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_named_and_free_again() {
    let (_fake, app, fixture) = world(&[]).await;
    let tenant = format!("/api/tenants/{}", fixture.tenant);
    let limit = async |limits: Value| {
        let patch = json!({ "limits": limits });
        app.operator().patch(&tenant, &patch).await.expect(200);
    };
    let path = fixture.at("calls");
    limit(json!({ "denied_prefixes": ["+4930"], "max_call_seconds": 60 })).await;
    let refused = fixture.admin.post(&path, &body(&fixture)).await;
    assert_eq!(
        refused.violations(),
        [("/to".into(), "denied_prefix".into())]
    );
    limit(json!({ "denied_prefixes": null, "allowed_prefixes": ["+1"] })).await;
    let refused = fixture.admin.post(&path, &body(&fixture)).await;
    assert_eq!(
        refused.violations(),
        [("/to".into(), "prefix_not_allowed".into())]
    );
    limit(json!({ "allowed_prefixes": null, "concurrent_calls": 1 })).await;
    let mut long = body(&fixture);
    long["max_duration_seconds"] = json!(61);
    let refused = fixture.admin.post(&path, &long).await;
    assert_eq!(
        refused.violations(),
        [("/max_duration_seconds".into(), "too_long".into())]
    );

    // What was allowed at creation is checked again at the start.
    let mut later = body(&fixture);
    later["start"] = json!(false);
    let waiting = fixture.admin.post(&path, &later).await.expect(201);
    let start = fixture.at(&format!("calls/{}/start", id(&waiting)));
    limit(json!({ "denied_prefixes": ["+4930"] })).await;
    let refused = fixture.admin.act(&start).await;
    assert_eq!(
        refused.violations(),
        [("/to".into(), "denied_prefix".into())]
    );
    limit(json!({ "denied_prefixes": null, "max_call_seconds": 50 })).await;
    let begun = fixture.admin.act(&start).await.expect(200);
    assert_eq!(begun["max_duration_seconds"], 50);
    becomes(&fixture, &waiting, "answered").await;
    let stop = fixture.at(&format!("calls/{}/stop", id(&waiting)));
    fixture.admin.act(&stop).await.expect(200);
    limit(json!({ "max_call_seconds": 60 })).await;

    let made = call(&fixture).await;
    assert_eq!(
        made["max_duration_seconds"], 60,
        "the operator's limit holds"
    );
    becomes(&fixture, &made, "answered").await;
    let refused = fixture.admin.post(&path, &body(&fixture)).await;
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    let refused = refused.expect_error(429, "call_limit_reached");
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("concurrent_calls")
    );
    let stop = fixture.at(&format!("calls/{}/stop", id(&made)));
    fixture.admin.act(&stop).await.expect(200);
    limit(json!({ "calls_per_minute": 3 })).await;
    call(&fixture).await;
    limit(json!({ "concurrent_calls": null })).await;
    let refused = fixture.admin.post(&path, &body(&fixture)).await;
    let refused = refused.expect_error(429, "call_limit_reached");
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("calls_per_minute")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trunk_is_chosen_or_asked_for() {
    let (_fake, _app, fixture) = world(&[]).await;
    let path = fixture.at("calls");
    let mut wish = body(&fixture);
    wish["start"] = json!(false);
    wish["from"] = json!("+4930999999");
    let refused = fixture.admin.post(&path, &wish).await;
    assert_eq!(
        refused.violations(),
        [("/from".into(), "number_not_on_trunk".into())]
    );
    let second = trunk(&fixture, "second").await;
    wish.as_object_mut().unwrap().remove("from");
    let refused = fixture.admin.post(&path, &wish).await;
    assert_eq!(
        refused.violations(),
        [("/trunk_id".into(), "missing_field".into())]
    );
    wish["trunk_id"] = second["id"].clone();
    let made = fixture.admin.post(&path, &wish).await.expect(201);
    assert_eq!(
        (&made["trunk_id"], &made["from"]),
        (&second["id"], &json!("+4930654321"))
    );
    let second_id = id(&second);
    for (filter, value, count) in [
        ("trunk_id", &second_id, 1),
        ("trunk_id", &fixture.agent, 0),
        ("mapping_id", &second_id, 0),
    ] {
        let path = fixture.at(&format!("calls?{filter}={value}"));
        let listed = fixture.admin.get(&path).await.expect(200);
        assert_eq!(listed["data"].as_array().unwrap().len(), count, "{filter}");
    }
    let one = fixture.at(&format!("sip-trunks/{}", id(&second)));
    let usage = fixture.admin.get(&format!("{one}/usage")).await.expect(200);
    let uses = json!([{
        "call_id": made["id"], "session_id": made["session_id"], "state": "created",
        "agent_id": fixture.agent, "agent_name": "a",
    }]);
    assert_eq!(usage["data"], uses);
    let refused = fixture.admin.delete(&one).await;
    let refused = refused.expect_error(409, "trunk_in_use");
    assert_eq!(refused["blocked_by"][0]["id"], made["id"]);
    let mut by_binding = wish.clone();
    by_binding.as_object_mut().unwrap().remove("agent_id");
    let refused = fixture.admin.post(&path, &by_binding).await;
    assert_eq!(
        refused.violations(),
        [("/agent_id".into(), "missing_field".into())]
    );
    by_binding["binding_id"] = json!(fixture.binding);
    let made = fixture.admin.post(&path, &by_binding).await.expect(201);
    assert_eq!(made["agent_id"], json!(fixture.agent));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_session_leaves_its_call_without_numbers() {
    let (_fake, _app, fixture) = world(&[]).await;
    let made = call(&fixture).await;
    becomes(&fixture, &made, "answered").await;
    let stop = fixture.at(&format!("calls/{}/stop", id(&made)));
    fixture.admin.act(&stop).await.expect(200);
    let trunk = made["trunk_id"].as_str().unwrap();
    let usage = fixture.at(&format!("sip-trunks/{trunk}/usage"));
    let usage = fixture.admin.get(&usage).await.expect(200);
    assert_eq!(usage["data"], json!([]), "it has ended");
    let session = fixture.at(&format!(
        "sessions/{}",
        made["session_id"].as_str().unwrap()
    ));
    fixture.admin.delete(&session).await.expect(204);
    let kept = read(&fixture, &made).await;
    assert_eq!(kept["end_reason"], "completed");
    assert!(kept["to"].is_null() && kept["from"].is_null() && kept["talk_seconds"].is_number());
    let calls = fixture
        .admin
        .get(&fixture.at("calls?number=%2B4930123456"))
        .await;
    assert!(calls.expect(200)["data"].as_array().unwrap().is_empty());
    let again = fixture.admin.act(&stop).await.expect(200);
    assert_eq!(again["state"], "ended", "it is over all the same");
    let start = fixture.at(&format!("calls/{}/start", id(&made)));
    fixture
        .admin
        .act(&start)
        .await
        .expect_error(409, "call_over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_handed_over_once() {
    let (fake, app, fixture) = world(&[]).await;
    let made = call(&fixture).await;
    let at = |what: &str| fixture.at(&format!("calls/{}/{what}", id(&made)));
    becomes(&fixture, &made, "answered").await;
    for (to, code) in [
        ("sip:a@127.0.0.2:99x", "invalid_address"),
        ("sip:a@10.0.0.1", "address_refused"),
        ("030 123456", "invalid_number"),
    ] {
        let refused = fixture
            .admin
            .post(&at("transfer"), &json!({ "to": to }))
            .await;
        assert_eq!(refused.violations(), [("/to".into(), code.into())], "{to}");
    }
    let tenant = format!("/api/tenants/{}", fixture.tenant);
    let denied = json!({ "limits": { "denied_prefixes": ["+882"] } });
    app.operator().patch(&tenant, &denied).await.expect(200);
    let to = json!({ "to": "sip:0088213123456@127.0.0.1" });
    let refused = fixture.admin.post(&at("transfer"), &to).await;
    assert_eq!(
        refused.violations(),
        [("/to".into(), "denied_prefix".into())]
    );
    let free = json!({ "limits": { "denied_prefixes": null } });
    app.operator().patch(&tenant, &free).await.expect(200);
    fake.exchange()
        .set("sip:desk@127.0.0.1", Callee::Refuses(603));
    let to = json!({ "to": "sip:desk@127.0.0.1" });
    let declined = fixture.admin.post(&at("transfer"), &to).await.expect(200);
    assert_eq!(
        (&declined["status"], &declined["sip_status"]),
        (&json!("failed"), &json!(603))
    );
    assert_eq!(declined["call"]["state"], "answered", "the call goes on");
    let keyed = fixture.admin.with_header("idempotency-key", "t");
    let to = json!({ "to": "+49 30 654321" });
    let done = keyed.post(&at("transfer"), &to).await.expect(200);
    assert_eq!(done["status"], "succeeded");
    assert_eq!(
        (&done["call"]["state"], &done["call"]["end_reason"]),
        (&json!("ended"), &json!("transferred"))
    );
    let again = keyed.post(&at("transfer"), &to).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(
        fake.exchange().transfers(),
        ["sip:desk@127.0.0.1", "tel:+4930654321"]
    );
    let late = fixture.admin.post(&at("transfer"), &to).await;
    late.expect_error(409, "call_not_answered");
    session_ends(&fixture, &made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_pressed_by_the_agent() {
    let (fake, _app, fixture) = world(&[]).await;
    let made = call(&fixture).await;
    let path = fixture.at(&format!("calls/{}/dtmf", id(&made)));
    becomes(&fixture, &made, "answered").await;
    let refused = fixture.admin.post(&path, &json!({ "digits": "12x" })).await;
    assert_eq!(
        refused.violations(),
        [("/digits".into(), "invalid_digits".into())]
    );
    let pressed = fixture
        .admin
        .post(&path, &json!({ "digits": "12w#" }))
        .await
        .expect(200);
    assert_eq!(pressed["status"], "succeeded");
    assert_eq!(fake.exchange().pressed(), [r#"{"digits":"12w#"}"#]);
    fake.set("PerformRpc", super::support::Fault::Broken);
    let failed = fixture
        .admin
        .post(&path, &json!({ "digits": "1" }))
        .await
        .expect(200);
    assert_eq!(failed["status"], "failed");
    let attach = fixture.at(&format!(
        "sessions/{}/attach",
        made["session_id"].as_str().unwrap()
    ));
    let another = json!({ "type": "phone", "number": "+49 30 654322" });
    let attached = fixture.admin.post(&attach, &another).await.expect(201);
    let keys = json!({ "digits": "1" });
    let refused = fixture.admin.post(&path, &keys).await.expect(200);
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("another call"), "{refused}");
    let stop = fixture.at(&format!(
        "calls/{}/stop",
        attached["call"]["id"].as_str().unwrap()
    ));
    fixture.admin.act(&stop).await.expect(200);
    let session = session_of(&fixture, &made).await;
    let room = session["room_name"].as_str().unwrap();
    fake.exchange().leaves(&format!("agent-of-{room}"));
    eventually("nobody is there", async || {
        let keys = json!({ "digits": "1" });
        let refused = fixture.admin.post(&path, &keys).await.expect(200);
        (refused["error"]["message"] == "no agent has joined yet").then_some(())
    })
    .await;
}
