//! Fields that become part of a SIP message are one line, so that no header can be injected.

use serde_json::{Value, json};

use super::{
    calls::{becomes, call, world},
    support::{Client, Fixture, Response, TestApp, id},
};

const CONTROLS: [&str; 12] = [
    "\r\nVia: x",
    "\n",
    "\r",
    "\t",
    "\u{1b}[0m",
    "\u{7f}",
    "\u{85}",
    "\u{9b}",
    "\u{2028}",
    "\u{2029}",
    "\u{202e}",
    "\u{2066}",
];

/// Asserts that each of these fields of a valid body refuses control characters.
async fn refuses(client: &Client, (method, path): (&str, &str), body: &Value, fields: &[&str]) {
    for field in fields {
        for control in CONTROLS {
            let mut broken = body.clone();
            let usual = broken.pointer(field).and_then(Value::as_str).unwrap();
            *broken.pointer_mut(field).unwrap() = json!(format!("{usual}{control}x"));
            let answer: Response = match method {
                "PATCH" => client.patch(path, &broken).await,
                _ => client.post(path, &broken).await,
            };
            let found = answer.violations();
            let at: Vec<_> = found.iter().map(|(pointer, _)| &**pointer).collect();
            assert_eq!(at, [*field], "{path} {control:?}: {}", answer.body);
            assert_eq!(answer.status, 422);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trunks_and_mappings_are_one_line() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let trunk = json!({
        "name": "t", "address": "sip.example.org", "numbers": ["+4930123456"], "username": "u", "password": "p",
    });
    let path = fixture.at("sip-trunks");
    let fields = ["/address", "/numbers/0", "/username", "/password"];
    refuses(&fixture.admin, ("POST", &path), &trunk, &fields).await;
    let made = fixture.admin.post(&path, &trunk).await.expect(201);
    let patch = trunk_patch(&trunk);
    let one = format!("{path}/{}", id(&made));
    refuses(&fixture.admin, ("PATCH", &one), &patch, &fields).await;

    let number = "+4930123477";
    let mapping = id_of_mapping(&app, &fixture, number).await;
    let path = fixture.at(&format!("inbound-mappings/{mapping}"));
    let patch = json!({
        "allowed_addresses": ["203.0.113.7"], "username": "u", "password": "p", "headers": ["X-A"],
    });
    let fields = [
        "/allowed_addresses/0",
        "/username",
        "/password",
        "/headers/0",
    ];
    refuses(&fixture.admin, ("PATCH", &path), &patch, &fields).await;
    let create = json!({
        "number": number, "agent_id": fixture.agent, "variables": { "company": "Acme" },
        "allowed_addresses": ["203.0.113.7"], "username": "u", "password": "p", "headers": ["X-A"],
    });
    let fields = [
        "/number",
        "/allowed_addresses/0",
        "/username",
        "/password",
        "/headers/0",
    ];
    let path = fixture.at("inbound-mappings");
    refuses(&fixture.admin, ("POST", &path), &create, &fields).await;
}

fn trunk_patch(trunk: &Value) -> Value {
    let mut patch = trunk.clone();
    patch.as_object_mut().unwrap().remove("name");
    patch
}

async fn id_of_mapping(app: &TestApp, fixture: &Fixture, number: &str) -> String {
    let path = fixture.at(&format!("numbers/{number}"));
    let assigned = app.operator().send(reqwest::Method::PUT, &path, None).await;
    assigned.expect(200);
    fixture.mapping(number).await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_their_participants_are_one_line() {
    let (fake, _app, fixture) = world(&[]).await;
    let new = json!({
        "agent_id": fixture.agent, "to": "+4930123456", "from": "+4930654321", "variables": { "company": "Acme" },
    });
    let path = fixture.at("calls");
    refuses(&fixture.admin, ("POST", &path), &new, &["/to", "/from"]).await;
    let made = call(&fixture).await;
    becomes(&fixture, &made, "answered").await;
    let at = |what: &str| fixture.at(&format!("calls/{}/{what}", id(&made)));
    for to in ["+4930123456", "tel:+4930123456", "sip:desk@127.0.0.1"] {
        let body = json!({ "to": to });
        refuses(&fixture.admin, ("POST", &at("transfer")), &body, &["/to"]).await;
    }
    for encoded in ["sip:a%0d%0aVia@127.0.0.1", "tel:+4930123456%0a"] {
        let refused = fixture
            .admin
            .post(&at("transfer"), &json!({ "to": encoded }))
            .await;
        assert_eq!(refused.violations()[0].0, "/to", "{encoded}");
    }
    let digits = json!({ "digits": "1" });
    refuses(&fixture.admin, ("POST", &at("dtmf")), &digits, &["/digits"]).await;
    let session = made["session_id"].as_str().unwrap();
    let attach = fixture.at(&format!("sessions/{session}/attach"));
    let phone = json!({ "type": "phone", "number": "+4930123456", "from": "+4930654321" });
    refuses(
        &fixture.admin,
        ("POST", &attach),
        &phone,
        &["/number", "/from"],
    )
    .await;
    let person = json!({ "type": "user", "identity": "ada", "name": "Ada" });
    refuses(
        &fixture.admin,
        ("POST", &attach),
        &person,
        &["/identity", "/name"],
    )
    .await;
    let token = json!({ "session_id": session, "identity": "ada", "name": "Ada" });
    refuses(
        &fixture.admin,
        ("POST", &fixture.at("tokens")),
        &token,
        &["/identity", "/name"],
    )
    .await;
    assert!(fake.exchange().transfers().is_empty());
    assert_eq!(fake.exchange().dials().len(), 1);
}
