//! Inbound calls: mappings in the real LiveKit, and fake callers in real rooms.

use diesel_async::SimpleAsyncConnection as _;
use futures_util::future::join_all;
use livekit_protocol as proto;
use patchbay_livekit::{DispatchRule, RoomRequest};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{
    FakeLiveKit, Fixture, Response, TestApp, deliver, event, eventually, id, now,
};

const CALLER: &str = "+4930777777";

/// A unique number: LiveKit accepts a number once, and the tests share it.
fn number(fixture: &Fixture) -> String {
    let digits: u32 = fixture.tenant.bytes().fold(0, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into()) % 1_000_000
    });
    format!("+49301{digits:06}")
}

pub(super) async fn world(more: &[&str]) -> (FakeLiveKit, TestApp, Fixture) {
    let fake = FakeLiveKit::start();
    let url = format!("--livekit-url={}", fake.url);
    let mut settings = vec![&*url, "--call-poll=100ms", "--join-deadline=20s"];
    settings.extend(more);
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    (fake, app, fixture)
}

async fn assign(app: &TestApp, fixture: &Fixture) {
    let path = fixture.at(&format!("numbers/{}", number(fixture)));
    let assigned = app.operator().send(Method::PUT, &path, None).await;
    assigned.expect(200);
}

fn spec(fixture: &Fixture) -> Value {
    json!({
        "number": number(fixture), "agent_id": fixture.agent, "variables": { "company": "Acme" },
        "allowed_addresses": ["203.0.113.0/24"], "headers": ["X-Customer"],
    })
}

async fn synced(fixture: &Fixture, mapping: &Value) -> Value {
    let path = fixture.at(&format!("inbound-mappings/{}", id(mapping)));
    eventually("LiveKit has it", async || {
        let mapping = fixture.admin.get(&path).await.expect(200);
        (mapping["sync"]["state"] == "synced").then_some(mapping)
    })
    .await
}

/// A synced mapping.
pub(super) async fn mapping(app: &TestApp, fixture: &Fixture, more: Value) -> Value {
    assign(app, fixture).await;
    let mut spec = spec(fixture);
    let more = more.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(more);
    let path = fixture.at("inbound-mappings");
    let made = fixture.admin.post(&path, &spec).await.expect(201);
    synced(fixture, &made).await
}

/// The objects of this installation in LiveKit: trunks, and rules with their trunks.
pub(super) async fn in_livekit(app: &TestApp) -> (Vec<String>, Vec<(String, Vec<String>)>) {
    let prefix = format!("{}-mapping-", app.schema());
    let livekit = app.livekit();
    let trunks = livekit.list_inbound_trunks().await.unwrap();
    let rules = livekit.list_dispatch_rules().await.unwrap();
    let trunks = trunks.into_iter().filter(|t| t.name.starts_with(&prefix));
    let rules = rules.into_iter().filter(|r| r.name.starts_with(&prefix));
    (
        trunks.map(|trunk| trunk.sid).collect(),
        rules.map(|rule| (rule.sid, rule.trunk_sids)).collect(),
    )
}

/// A call that LiveKit has accepted: its room exists, and the caller is in it.
pub(super) struct Ringing {
    pub room: Value,
    identity: String,
}

impl Ringing {
    pub async fn new(fake: &FakeLiveKit, app: &TestApp, mapping: &Value, name: &str) -> Self {
        let (_, rules) = in_livekit(app).await;
        let room = format!("{}-in-{}_{CALLER}_{name}", app.schema(), id(mapping));
        let request = RoomRequest {
            name: room.clone(),
            empty_timeout: 60,
            departure_timeout: 20,
            max_participants: 10,
            agent_name: "patchbay-agent".to_owned(),
            dispatch_metadata: json!({ "mapping_id": id(mapping) }).to_string(),
        };
        let made = app.livekit().create_room(&request).await.unwrap();
        let identity = format!("sip_{CALLER}_{name}");
        let mut caller = proto::ParticipantInfo {
            sid: format!("PA_{name}"),
            identity: identity.clone(),
            kind: proto::participant_info::Kind::Sip.into(),
            state: proto::participant_info::State::Active.into(),
            ..proto::ParticipantInfo::default()
        };
        for (key, value) in [
            ("sip.ruleID", &*rules[0].0),
            ("sip.callStatus", "ringing"),
            ("sip.phoneNumber", CALLER),
            ("sip.callID", "SCL_in"),
        ] {
            caller.attributes.insert(key.to_owned(), value.to_owned());
        }
        fake.exchange().enters(&room, caller);
        Self {
            room: json!({ "room_name": room, "room_sid": made.sid }),
            identity,
        }
    }

    pub fn participant(&self, rule: &str, more: Value) -> Option<Value> {
        let sid = format!("PA_{}", self.identity.rsplit('_').next().unwrap());
        let mut participant = json!({
            "sid": sid, "identity": self.identity, "kind": "SIP",
            "attributes": {
                "sip.ruleID": rule, "sip.callStatus": "ringing", "sip.phoneNumber": CALLER,
            },
        });
        let more = more.as_object().unwrap().clone();
        participant.as_object_mut().unwrap().extend(more);
        Some(participant)
    }

    pub async fn claim(&self, app: &TestApp, fixture: &Fixture, mapping: &Value) -> Response {
        let path = fixture.at(&format!("inbound-mappings/{}/claim", id(mapping)));
        let body = json!({ "room_name": self.room["room_name"] });
        app.worker().post(&path, &body).await
    }
}

async fn calls(fixture: &Fixture) -> Vec<Value> {
    let page = fixture.admin.get(&fixture.at("calls")).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

async fn call_becomes(fixture: &Fixture, state: &str) -> Value {
    eventually(state, async || {
        let all = calls(fixture).await;
        all.into_iter().find(|call| call["state"] == state)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_is_one_trunk_and_one_rule_whatever_livekit_loses() {
    let (_fake, app, fixture) = world(&["--reconcile-interval=200ms"]).await;
    let mapping = mapping(&app, &fixture, json!({})).await;
    let livekit = app.livekit();
    let whole = async |but: &[String]| {
        eventually("one trunk, one rule", async || {
            let (trunks, rules) = in_livekit(&app).await;
            let whole = trunks.len() == 1 && rules.len() == 1 && rules[0].1 == trunks;
            (whole && !but.contains(&rules[0].0)).then_some((trunks, rules))
        })
        .await
    };
    let (trunks, rules) = whole(&[]).await;
    livekit.delete_dispatch_rule(&rules[0].0).await.unwrap();
    let (_, again) = whole(&[rules[0].0.clone()]).await;
    livekit.delete_dispatch_rule(&again[0].0).await.unwrap();
    livekit.delete_trunk(&trunks[0]).await.unwrap();
    let (trunks, _) = whole(&[rules[0].0.clone(), again[0].0.clone()]).await;
    let orphan = DispatchRule {
        name: format!(
            "{}-mapping-01a20a81-0000-7000-8000-000000000000-1",
            app.schema()
        ),
        trunk_sid: trunks[0].clone(),
        room_prefix: "x".to_owned(),
        agent_name: "x".to_owned(),
        metadata: String::new(),
        empty_timeout: 1,
        departure_timeout: 1,
        max_participants: 1,
    };
    // LiveKit refuses a second rule for a trunk, but not for a deleted one.
    let orphan = DispatchRule {
        trunk_sid: "ST_gone".to_owned(),
        ..orphan
    };
    livekit.put_dispatch_rule(None, &orphan).await.unwrap();
    whole(&[]).await;

    let path = fixture.at(&format!("inbound-mappings/{}", id(&mapping)));
    let off = json!({ "enabled": false });
    fixture.admin.patch(&path, &off).await.expect(200);
    let nothing = async || {
        eventually("nothing of it", async || {
            let (trunks, rules) = in_livekit(&app).await;
            (trunks.is_empty() && rules.is_empty()).then_some(())
        })
        .await;
    };
    nothing().await;
    let on = json!({ "enabled": true });
    fixture.admin.patch(&path, &on).await.expect(200);
    whole(&[]).await;
    fixture.admin.delete(&path).await.expect(204);
    nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_claimed_once_by_whoever_comes_first() {
    let (fake, app, fixture) = world(&[]).await;
    let mapping = mapping(&app, &fixture, json!({})).await;
    let ringing = Ringing::new(&fake, &app, &mapping, "one").await;
    let answers = join_all((0..8).map(|_| ringing.claim(&app, &fixture, &mapping))).await;
    let claims: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.expect(200))
        .collect();
    assert!(
        claims
            .iter()
            .all(|claim| claim["call_id"] == claims[0]["call_id"])
    );
    assert_eq!(claims[0]["config"]["prompt"], "You answer for Acme.");
    assert_eq!(claims[0]["config"]["call"]["direction"], "inbound");
    let made = calls(&fixture).await;
    assert_eq!(made.len(), 1);
    assert_eq!(
        (&made[0]["state"], &made[0]["from"]),
        (&json!("ringing"), &json!(CALLER))
    );
    assert_eq!(
        (&made[0]["to"], &made[0]["mapping_id"]),
        (&json!(number(&fixture)), &mapping["id"])
    );

    let (_, rules) = in_livekit(&app).await;
    let ringing = Ringing::new(&fake, &app, &mapping, "two").await;
    let joined = ringing.participant(&rules[0].0, json!({}));
    let joined = event("EV_in", "participant_joined", &ringing.room, now(), joined);
    deliver(&app, &joined).await.expect(200);
    eventually("the webhook makes it", async || {
        (calls(&fixture).await.len() == 2).then_some(())
    })
    .await;
    let claim = ringing.claim(&app, &fixture, &mapping).await.expect(200);
    let made = calls(&fixture).await;
    assert_eq!((made.len(), &made[0]["id"]), (2, &claim["call_id"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_is_answered_and_hung_up_by_the_caller() {
    let (fake, app, fixture) = world(&["--agent-grace=30s"]).await;
    let mapping = mapping(&app, &fixture, json!({})).await;
    let (_, rules) = in_livekit(&app).await;
    for (name, answered, state) in [("a", true, "ended"), ("b", false, "canceled")] {
        let ringing = Ringing::new(&fake, &app, &mapping, name).await;
        let claim = ringing.claim(&app, &fixture, &mapping).await.expect(200);
        if answered {
            let run = claim["agent_run_id"].as_str().unwrap();
            let agent = json!({
                "sid": "PA_agent", "identity": format!("agent-{run}"), "kind": "AGENT",
            });
            let joined = event(
                "EV_agent",
                "participant_joined",
                &ringing.room,
                now(),
                Some(agent),
            );
            deliver(&app, &joined).await.expect(200);
            fake.exchange().becomes(&ringing.identity, "active");
            call_becomes(&fixture, "answered").await;
        }
        let left = ringing.participant(
            &rules[0].0,
            json!({ "disconnectReason": "CLIENT_INITIATED" }),
        );
        let left = event(
            &format!("EV_left_{name}"),
            "participant_left",
            &ringing.room,
            now(),
            left,
        );
        deliver(&app, &left).await.expect(200);
        let over = call_becomes(&fixture, state).await;
        assert_eq!(over["end_reason"], "caller_hangup");
        assert_eq!(over["hangup_by"], "caller");
        let path = fixture.at(&format!(
            "sessions/{}",
            claim["session_id"].as_str().unwrap()
        ));
        eventually("the session ends", async || {
            let session = fixture.admin.get(&path).await.expect(200);
            (session["state"] == "ended").then_some(())
        })
        .await;
        fixture.admin.delete(&path).await.expect(204);
    }
    let mut connection = app.connect("DATABASE_OWNER_URL").await;
    let look = format!(
        "SET app.tenant_id = '{}';
         DO $$ BEGIN
             IF EXISTS (SELECT 1 FROM rooms WHERE name LIKE '%{CALLER}%')
                OR EXISTS (SELECT 1 FROM calls WHERE calls::text LIKE '%{CALLER}%')
                OR EXISTS (SELECT 1 FROM audit_events WHERE audit_events::text LIKE '%{CALLER}%')
             THEN RAISE EXCEPTION 'the number of a caller was left behind';
             END IF;
         END $$",
        fixture.tenant
    );
    connection.batch_execute(&look).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_loses_the_room_and_leaves_no_record() {
    let (fake, app, fixture) = world(&["--reconcile-interval=10m"]).await;
    let never = json!({ "hours": { "time_zone": "Europe/Berlin", "open": [] } });
    let mapping = mapping(&app, &fixture, never).await;
    let tenant = format!("/api/tenants/{}", fixture.tenant);
    let path = fixture.at(&format!("inbound-mappings/{}", id(&mapping)));
    let refused = async |name: &str, status: u16, code: &str| {
        let ringing = Ringing::new(&fake, &app, &mapping, name).await;
        let claim = ringing.claim(&app, &fixture, &mapping).await;
        claim.expect_error(status, code);
        let room = ringing.room["room_name"].as_str().unwrap().to_owned();
        let rooms = app.livekit().list_rooms(vec![room]).await.unwrap();
        assert!(rooms.is_empty(), "{code}: the room is gone");
    };
    refused("closed", 409, "closed").await;
    let always = json!({ "hours": null });
    fixture.admin.patch(&path, &always).await.expect(200);
    synced(&fixture, &mapping).await;
    let operator = app.operator();
    let suspend = json!({ "status": "suspended" });
    operator.patch(&tenant, &suspend).await.expect(200);
    refused("suspended", 403, "tenant_suspended").await;
    let active = json!({ "status": "active", "limits": { "calls_per_minute": 1 } });
    operator.patch(&tenant, &active).await.expect(200);
    assert!(calls(&fixture).await.is_empty());
    let ringing = Ringing::new(&fake, &app, &mapping, "first").await;
    ringing.claim(&app, &fixture, &mapping).await.expect(200);
    refused("second", 429, "call_limit_reached").await;
    let one = json!({ "limits": { "calls_per_minute": null, "concurrent_sessions": 1 } });
    operator.patch(&tenant, &one).await.expect(200);
    refused("third", 429, "session_limit_reached").await;
    // Unreadable settings mean neither open hours nor no limit.
    let mut database = app.connect("DATABASE_URL").await;
    for (broken, mended, key) in [
        (
            "UPDATE tenants SET limits = '{\"denied_prefixes\": 7}'",
            "UPDATE tenants SET limits = '{}'",
            "id",
        ),
        (
            "UPDATE inbound_mappings SET hours = '{\"open\": 7}'",
            "UPDATE inbound_mappings SET hours = NULL",
            "tenant_id",
        ),
    ] {
        let of_tenant = format!("{key} = '{}'", fixture.tenant);
        let own = format!(
            "SET app.tenant_id = '{}'; {broken} WHERE {of_tenant}",
            fixture.tenant
        );
        database.batch_execute(&own).await.unwrap();
        refused("unreadable", 500, "stored_data_unreadable").await;
        let mend = format!("{mended} WHERE {of_tenant}");
        database.batch_execute(&mend).await.unwrap();
    }
    assert_eq!(calls(&fixture).await.len(), 1);
    let sessions = fixture.admin.get(&fixture.at("sessions")).await.expect(200);
    assert_eq!(sessions["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_proves_that_the_room_is_the_mappings() {
    let (fake, app, fixture) = world(&[]).await;
    let ours = mapping(&app, &fixture, json!({})).await;
    let ringing = Ringing::new(&fake, &app, &ours, "x").await;
    let other = app.tenant("other").await;
    let path = other.at(&format!("inbound-mappings/{}/claim", id(&ours)));
    let body = json!({ "room_name": ringing.room["room_name"] });
    app.worker()
        .post(&path, &body)
        .await
        .expect_error(404, "not_found");
    let path = fixture.at(&format!("inbound-mappings/{}/claim", id(&ours)));
    let foreign = json!({ "room_name": "somebody-elses-room" });
    app.worker()
        .post(&path, &foreign)
        .await
        .expect_error(404, "not_found");
    let empty = json!({ "room_name": format!("{}-in-{}_x_y", app.schema(), id(&ours)) });
    app.worker()
        .post(&path, &empty)
        .await
        .expect_error(404, "not_found");
    assert!(calls(&fixture).await.is_empty());
    fixture
        .admin
        .post(&path, &body)
        .await
        .expect_error(403, "missing_scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_is_checked_before_it_is_kept() {
    let (_fake, app, fixture) = world(&[]).await;
    let path = fixture.at("inbound-mappings");
    let refused = fixture.admin.post(&path, &spec(&fixture)).await;
    assert_eq!(
        refused.violations(),
        [("/number".into(), "number_not_assigned".into())]
    );
    assign(&app, &fixture).await;
    for (field, value, pointer, code) in [
        (
            "allowed_addresses",
            json!([]),
            "/allowed_addresses",
            "missing_field",
        ),
        (
            "allowed_addresses",
            json!(["x"]),
            "/allowed_addresses/0",
            "invalid_address",
        ),
        (
            "allowed_addresses",
            json!(["203.0.113.0/24", "0.0.0.0/0"]),
            "/allowed_addresses/1",
            "network_too_large",
        ),
        (
            "allowed_addresses",
            json!(["0.0.0.0/1", "128.0.0.0/1"]),
            "/allowed_addresses/0",
            "network_too_large",
        ),
        (
            "allowed_addresses",
            json!(["::ffff:0:0/96"]),
            "/allowed_addresses/0",
            "network_too_large",
        ),
        (
            "allowed_addresses",
            json!(["10.0.0.0/8"]),
            "/allowed_addresses/0",
            "address_refused",
        ),
        ("username", json!("u"), "/password", "missing_field"),
        ("headers", json!(["Via"]), "/headers/0", "invalid_header"),
        (
            "hours",
            json!({ "time_zone": "X", "open": [] }),
            "/hours/time_zone",
            "unknown_time_zone",
        ),
    ] {
        let mut spec = spec(&fixture);
        spec[field] = value;
        let refused = fixture.admin.post(&path, &spec).await;
        assert_eq!(
            refused.violations(),
            [(pointer.to_owned(), code.to_owned())],
            "{field}"
        );
    }
    let mapping = mapping(&app, &fixture, json!({})).await;
    let again = fixture.admin.post(&path, &spec(&fixture)).await;
    again.expect_error(409, "number_mapped");
    let one = fixture.at(&format!("inbound-mappings/{}", id(&mapping)));
    for everywhere in ["0.0.0.0/0", "::/0", "203.0.113.9/1"] {
        let patch = json!({ "allowed_addresses": [everywhere] });
        let refused = fixture.admin.patch(&one, &patch).await;
        let expected = ("/allowed_addresses/0".into(), "network_too_large".into());
        assert_eq!(refused.violations(), [expected], "{everywhere}");
    }
    let patch = json!({ "allowed_addresses": ["203.0.113.77/24", "::ffff:198.51.100.4"] });
    let patched = fixture.admin.patch(&one, &patch).await.expect(200);
    let expected = json!(["203.0.113.0/24", "198.51.100.4"]);
    assert_eq!(patched["allowed_addresses"], expected);
    let agent = fixture.at(&format!("agents/{}", fixture.agent));
    let refused = fixture.admin.delete(&agent).await;
    let refused = refused.expect_error(409, "agent_in_use");
    assert_eq!(refused["blocked_by"][0]["name"], number(&fixture));
    let number = fixture.at(&format!("numbers/{}", number(&fixture)));
    app.operator().delete(&number).await.expect(204);
    fixture.admin.get(&one).await.expect_error(404, "not_found");
    fixture.admin.delete(&agent).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_who_would_answer_and_why_not() {
    let (_fake, app, fixture) = world(&[]).await;
    let path = fixture.at("inbound-mappings/resolve");
    let resolve = async |more: Value| {
        let mut body = json!({ "number": number(&fixture) });
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        fixture.admin.post(&path, &body).await.expect(200)
    };
    assert_eq!(
        resolve(json!({})).await["error"]["code"],
        "number_not_assigned"
    );
    assign(&app, &fixture).await;
    assert_eq!(resolve(json!({})).await["error"]["code"], "no_mapping");
    let hours = json!({ "hours": {
        "time_zone": "Europe/Berlin", "open": [{ "days": ["mon"], "from": "09:00", "to": "17:00" }],
    } });
    let mapping = mapping(&app, &fixture, hours).await;
    let monday = resolve(json!({ "at": "2026-11-23T08:00:00Z" })).await;
    assert_eq!(
        (&monday["taken"], &monday["open"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        (&monday["agent_id"], &monday["binding_id"]),
        (&json!(fixture.agent), &json!(fixture.binding))
    );
    let sunday = resolve(json!({ "at": "2026-11-22T08:00:00Z" })).await;
    assert_eq!(
        (&sunday["taken"], &sunday["error"]["code"]),
        (&json!(false), &json!("closed"))
    );
    let one = fixture.at(&format!("inbound-mappings/{}", id(&mapping)));
    let patch = json!({ "closed_agent_id": fixture.agent });
    fixture.admin.patch(&one, &patch).await.expect(200);
    let sunday = resolve(json!({ "at": "2026-11-22T08:00:00Z" })).await;
    assert_eq!(
        (&sunday["taken"], &sunday["open"]),
        (&json!(true), &json!(false))
    );
    let off = json!({ "enabled": false });
    fixture.admin.patch(&one, &off).await.expect(200);
    assert_eq!(
        resolve(json!({})).await["error"]["code"],
        "mapping_disabled"
    );
}
