//! SIP trunks: stored with encrypted passwords, and synced to LiveKit.

use patchbay_livekit::{OutboundTrunk, Transport};
use serde_json::{Value, json};

use super::{
    calls,
    support::{FakeLiveKit, Fault, Fixture, TestApp, eventually, id},
};

fn spec() -> Value {
    json!({
        "name": "carrier", "address": "SIP.example.org:5061", "transport": "tls",
        "numbers": ["+49 30 123456", "+4930123456"], "username": "acme", "password": "pa55-w0rd",
    })
}

async fn make(fixture: &Fixture) -> Value {
    let path = fixture.at("sip-trunks");
    fixture.admin.post(&path, &spec()).await.expect(201)
}

async fn synced(fixture: &Fixture, trunk: &Value) -> Value {
    let path = fixture.at(&format!("sip-trunks/{}", id(trunk)));
    eventually("it is in LiveKit", async || {
        let trunk = fixture.admin.get(&path).await.expect(200);
        (trunk["sync"]["state"] == "synced").then_some(trunk)
    })
    .await
}

/// Names of this installation's objects in LiveKit.
async fn in_livekit(app: &TestApp) -> Vec<(String, String)> {
    let prefix = format!("{}-trunk-", app.schema());
    let found = app.livekit().list_outbound_trunks().await.unwrap();
    let ours = found.into_iter().filter(|t| t.name.starts_with(&prefix));
    ours.map(|trunk| (trunk.sid, trunk.name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_is_in_livekit_once_as_it_is_here() {
    let app = TestApp::start_with(&["--reconcile-interval=10m"]).await;
    let fixture = app.tenant("acme").await;
    let made = make(&fixture).await;
    assert_eq!(made["numbers"], json!(["+4930123456"]));
    assert_eq!(made["address"], "sip.example.org:5061");
    assert!(!made.to_string().contains("pa55"), "{made}");
    let trunk = synced(&fixture, &made).await;
    let first = in_livekit(&app).await;
    assert_eq!(first.len(), 1);
    let path = fixture.at(&format!("sip-trunks/{}", id(&trunk)));
    let patch = json!({ "numbers": ["+4930123457"], "password": "another" });
    let patched = fixture.admin.patch(&path, &patch).await.expect(200);
    assert_eq!(patched["revision"], 2);
    synced(&fixture, &made).await;
    let second = in_livekit(&app).await;
    assert_eq!(
        (second.len(), &second[0].0),
        (1, &first[0].0),
        "the same one, changed"
    );
    assert!(second[0].1.ends_with("-2"));
    let audit = fixture
        .admin
        .get(&fixture.at("audit-events"))
        .await
        .expect(200);
    assert!(!audit.to_string().contains("another"));
    let secrets = fixture.admin.get(&fixture.at("secrets")).await.expect(200);
    assert_eq!(
        secrets["data"],
        json!([]),
        "its password is no secret of the tenant's own"
    );
    let sealed = fixture.at(&format!("secrets/of%2F{}", id(&trunk)));
    fixture
        .admin
        .get(&sealed)
        .await
        .expect_error(404, "not_found");
    fixture
        .admin
        .delete(&sealed)
        .await
        .expect_error(404, "not_found");
    fixture.admin.delete(&path).await.expect(204);
    eventually("LiveKit forgets it", async || {
        in_livekit(&app).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_livekit_loses_comes_back_and_what_it_has_too_many_goes() {
    let app = TestApp::start_with(&["--reconcile-interval=200ms"]).await;
    let fixture = app.tenant("acme").await;
    let trunk = make(&fixture).await;
    synced(&fixture, &trunk).await;
    let livekit = app.livekit();
    let before = in_livekit(&app).await;
    livekit.delete_trunk(&before[0].0).await.unwrap();
    let after = eventually("it comes back", async || {
        let now = in_livekit(&app).await;
        (now.len() == 1).then_some(now)
    })
    .await;
    assert_ne!(after[0].0, before[0].0);
    let stray = |name: String| OutboundTrunk {
        name,
        address: "sip.example.org".to_owned(),
        transport: Transport::Auto,
        numbers: vec!["+4930123456".to_owned()],
        credentials: None,
    };
    let orphan = format!(
        "{}-trunk-{}-1",
        app.schema(),
        "01a20a81-0000-7000-8000-000000000000"
    );
    livekit
        .put_outbound_trunk(None, &stray(orphan))
        .await
        .unwrap();
    let foreign = stray(format!("somebody-elses-{}", app.schema()));
    let foreign = livekit.put_outbound_trunk(None, &foreign).await.unwrap();
    eventually("the orphan goes", async || {
        (in_livekit(&app).await == after).then_some(())
    })
    .await;
    let all = livekit.list_outbound_trunks().await.unwrap();
    assert!(
        all.iter().any(|trunk| trunk.sid == foreign),
        "not ours to touch"
    );
    livekit.delete_trunk(&foreign).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_told_and_a_lost_answer_makes_no_second_trunk() {
    let fake = FakeLiveKit::start();
    let url = format!("--livekit-url={}", fake.url);
    let app = TestApp::start_with(&[&url, "--reconcile-interval=10m"]).await;
    let fixture = app.tenant("acme").await;
    for fault in [Fault::Broken, Fault::Lost] {
        fake.set("CreateSIPOutboundTrunk", fault);
        let path = fixture.at("sip-trunks");
        let mut spec = spec();
        spec["name"] = json!(format!("{fault:?}"));
        let made = fixture.admin.post(&path, &spec).await.expect(201);
        let one = format!("{path}/{}", id(&made));
        if fault == Fault::Broken {
            let failed = eventually("the fault", async || {
                let trunk = fixture.admin.get(&one).await.expect(200);
                (trunk["sync"]["state"] == "failed").then_some(trunk)
            })
            .await;
            assert!(
                failed["sync"]["error"]["message"]
                    .as_str()
                    .unwrap()
                    .contains("500"),
                "{failed}"
            );
            fake.set("CreateSIPOutboundTrunk", Fault::None);
        }
        synced(&fixture, &made).await;
        let name = format!("-{}-", id(&made));
        let found = in_livekit(&app).await;
        assert_eq!(
            found.iter().filter(|(_, n)| n.contains(&name)).count(),
            1,
            "{fault:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_trunks_are_refused() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let path = fixture.at("sip-trunks");
    for (field, value, pointer, code) in [
        ("address", json!("127.0.0.1"), "/address", "address_refused"),
        (
            "address",
            json!("carrier.internal:5060"),
            "/address",
            "address_refused",
        ),
        (
            "address",
            json!("sip:example.org"),
            "/address",
            "invalid_address",
        ),
        ("numbers", json!([]), "/numbers", "too_few"),
        (
            "numbers",
            json!(["030 123456"]),
            "/numbers/0",
            "invalid_number",
        ),
        ("password", json!(null), "/password", "missing_field"),
        ("username", json!(null), "/username", "missing_field"),
    ] {
        let mut spec = spec();
        spec[field] = value.clone();
        let refused = fixture.admin.post(&path, &spec).await;
        let expected = [(pointer.to_owned(), code.to_owned())];
        assert_eq!(refused.violations(), expected, "{field} {value}");
    }
    make(&fixture).await;
    let taken = fixture.admin.post(&path, &spec()).await;
    taken.expect_error(409, "name_taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_during_a_sync_is_synced_too_before_it_counts_as_synced() {
    let fake = FakeLiveKit::start();
    let url = format!("--livekit-url={}", fake.url);
    let more = [&*url, "--livekit-timeout=60s", "--reconcile-interval=10m"];
    let app = TestApp::start_with(&more).await;
    let fixture = app.tenant("acme").await;
    let trunk = make(&fixture).await;
    synced(&fixture, &trunk).await;
    let path = fixture.at(&format!("sip-trunks/{}", id(&trunk)));
    let patch = async |numbers: [&str; 1]| {
        let patched = fixture
            .admin
            .patch(&path, &json!({ "numbers": numbers }))
            .await;
        patched.expect(200)
    };
    fake.set("UpdateSIPOutboundTrunk", Fault::Held);
    patch(["+4930123457"]).await;
    eventually("LiveKit is told", async || {
        (fake.calls("UpdateSIPOutboundTrunk") == 1).then_some(())
    })
    .await;
    let last = patch(["+4930123458"]).await;
    assert_eq!(last["sync"]["state"], "pending");
    // The first sync ends, and the second one has only begun.
    let begun = fake.calls("ListSIPOutboundTrunk");
    fake.set("ListSIPOutboundTrunk", Fault::Held);
    fake.set("UpdateSIPOutboundTrunk", Fault::None);
    eventually("the second sync begins", async || {
        (fake.calls("ListSIPOutboundTrunk") > begun).then_some(())
    })
    .await;
    let between = fixture.admin.get(&path).await.expect(200);
    assert_eq!(
        between["sync"]["state"], "pending",
        "LiveKit has the first change alone"
    );
    fake.set("ListSIPOutboundTrunk", Fault::None);
    synced(&fixture, &trunk).await;
    let there = in_livekit(&app).await;
    assert!(there.len() == 1 && there[0].1.ends_with("-3"), "{there:?}");
    assert_eq!(fake.calls("UpdateSIPOutboundTrunk"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_until_livekit_has_its_trunks_revision() {
    let (fake, app, fixture) = calls::world(&["--livekit-timeout=60s"]).await;
    let path = fixture.at("sip-trunks");
    let trunk = fixture.admin.get(&path).await.expect(200)["data"][0].clone();
    fake.set("UpdateSIPOutboundTrunk", Fault::Held);
    let path = format!("{path}/{}", id(&trunk));
    let moved = json!({ "address": "127.0.0.2:5060" });
    fixture.admin.patch(&path, &moved).await.expect(200);
    let made = calls::call(&fixture).await;
    let session = json!({ "id": made["session_id"] });
    eventually("its agent has joined", async || {
        (fixture.read(&session).await["state"] == "running").then_some(())
    })
    .await;
    let looked = fake.calls("ListParticipants");
    eventually("it is looked after", async || {
        (fake.calls("ListParticipants") > looked + 3).then_some(())
    })
    .await;
    assert_eq!(
        fake.exchange().dials(),
        [],
        "the old carrier would be dialled"
    );
    fake.set("UpdateSIPOutboundTrunk", Fault::None);
    calls::becomes(&fixture, &made, "answered").await;
    let there = in_livekit(&app).await;
    assert!(there.len() == 1 && there[0].1.ends_with("-2"), "{there:?}");
}
