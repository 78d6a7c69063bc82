//! Which numbers a tenant may call: every spelling of a number is normalised before it is compared, and exactly
//! what was compared is dialled.

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use serde_json::{Value, json};

use super::{
    calls::{becomes, body, call, world},
    support::{Fixture, TestApp, count, eventually, id},
};

async fn limit(app: &TestApp, fixture: &Fixture, limits: Value) -> Value {
    let tenant = format!("/api/tenants/{}", fixture.tenant);
    let patch = json!({ "limits": limits });
    app.operator().patch(&tenant, &patch).await.expect(200)["limits"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_have_one_spelling() {
    let (_fake, app, fixture) = world(&[]).await;
    let limits = json!({ "allowed_prefixes": ["0049", "+1 (212)"], "denied_prefixes": ["+49 (0)900", "011 882"] });
    let limits = limit(&app, &fixture, limits).await;
    assert_eq!(limits["allowed_prefixes"], json!(["+49", "+1212"]));
    assert_eq!(limits["denied_prefixes"], json!(["+49900", "+882"]));
    let tenant = format!("/api/tenants/{}", fixture.tenant);
    for wrong in ["49", "0900", "+", "+4a", "+49\n", "+1234567890123456"] {
        let patch = json!({ "limits": { "denied_prefixes": [wrong] } });
        let refused = app.operator().patch(&tenant, &patch).await;
        let (pointer, _) = &refused.violations()[0];
        assert!(pointer.starts_with("/limits/denied_prefixes"), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_called_in_one_form_whatever_its_spelling() {
    let (fake, app, fixture) = world(&[]).await;
    limit(
        &app,
        &fixture,
        json!({ "allowed_prefixes": ["+49"], "denied_prefixes": ["+49900"] }),
    )
    .await;
    let path = fixture.at("calls");
    let made = call(&fixture).await;
    becomes(&fixture, &made, "answered").await;
    let attach = fixture.at(&format!(
        "sessions/{}/attach",
        made["session_id"].as_str().unwrap()
    ));
    for (to, code) in [
        ("+49 900 1 123456", "denied_prefix"),
        ("0049 900 1 123456", "denied_prefix"),
        ("+49 (0)900 1 123456", "denied_prefix"),
        ("\u{ff0b}４９９００１１２３４５６", "denied_prefix"),
        ("+٤٩٩٠٠١١٢٣٤٥٦", "denied_prefix"),
        ("tel:+49-900-1-123456", "denied_prefix"),
        ("TEL:09001123456;phone-context=+49", "denied_prefix"),
        ("tel:01149-900-1-123456;phone-context=+1", "denied_prefix"),
        ("tel:%2B499001123456", "denied_prefix"),
        ("+44 20 7946 0000", "prefix_not_allowed"),
        ("tel:02079460000;phone-context=+44", "prefix_not_allowed"),
        ("0900 1 123456", "invalid_number"),
        ("22000", "invalid_number"),
        ("sip:+499001123456@127.0.0.1", "invalid_number"),
        (
            "tel:09001123456;phone-context=example.org",
            "invalid_number",
        ),
        ("tel:+4930123456;ext=1", "invalid_number"),
        ("+4930123456;isub=1", "invalid_number"),
    ] {
        let mut new = body(&fixture);
        new["to"] = json!(to);
        let refused = fixture.admin.post(&path, &new).await;
        assert_eq!(
            refused.violations(),
            [("/to".to_owned(), code.to_owned())],
            "{to}"
        );
        let phone = json!({ "type": "phone", "number": to });
        let refused = fixture.admin.post(&attach, &phone).await;
        assert_eq!(
            refused.violations(),
            [("/number".to_owned(), code.to_owned())],
            "{to}"
        );
    }
    for to in [
        "0049 30 123456",
        "tel:030-123456;phone-context=+49",
        "+49 (0)30 123456",
    ] {
        let phone = json!({ "type": "phone", "number": to });
        let attached = fixture.admin.post(&attach, &phone).await.expect(201);
        assert_eq!(attached["call"]["to"], "+4930123456", "{to}");
        becomes(&fixture, &attached["call"], "answered").await;
    }
    let dialled = fake.exchange().dials();
    assert!(
        dialled.iter().all(|dial| dial.sip_call_to == "+4930123456"),
        "{dialled:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn help_is_called_where_the_operator_allows_it() {
    let (fake, app, fixture) = world(&[]).await;
    let made = call(&fixture).await;
    becomes(&fixture, &made, "answered").await;
    let attach = fixture.at(&format!(
        "sessions/{}/attach",
        made["session_id"].as_str().unwrap()
    ));
    let transfer = fixture.at(&format!("calls/{}/transfer", id(&made)));
    for to in [
        "110",
        "112",
        "911",
        "999",
        "000",
        "118",
        "119",
        "15",
        "17",
        "18",
        "1-1-2",
        "１１２",
        "+49112",
        "+49 (0) 112",
        "0049112",
        "+1911",
        "+44999",
        "9911",
        "0112",
        "01149112",
        "tel:112",
        "tel:911;phone-context=+1",
    ] {
        let code = "emergency_number".to_owned();
        let mut new = body(&fixture);
        new["to"] = json!(to);
        let refused = fixture.admin.post(&fixture.at("calls"), &new).await;
        assert_eq!(
            refused.violations(),
            [("/to".to_owned(), code.clone())],
            "{to}"
        );
        let phone = json!({ "type": "phone", "number": to });
        let refused = fixture.admin.post(&attach, &phone).await;
        assert_eq!(
            refused.violations(),
            [("/number".to_owned(), code.clone())],
            "{to}"
        );
        let refused = fixture.admin.post(&transfer, &json!({ "to": to })).await;
        assert_eq!(refused.violations(), [("/to".to_owned(), code)], "{to}");
    }
    for user in [
        "110",
        "112",
        "911",
        "15",
        "9-1-1",
        "%39%31%31",
        "+49112",
        "0049112",
        "911;phone-context=+1",
    ] {
        let to = format!("sip:{user}@127.0.0.1;user=phone");
        let refused = fixture.admin.post(&transfer, &json!({ "to": to })).await;
        let expected = [("/to".to_owned(), "emergency_number".to_owned())];
        assert_eq!(refused.violations(), expected, "{to}");
    }
    // What was allowed at creation is checked again at the start.
    limit(
        &app,
        &fixture,
        json!({ "emergency_calls": true, "allowed_prefixes": ["+49"] }),
    )
    .await;
    let mut new = body(&fixture);
    (new["to"], new["start"]) = (json!("1-1-2"), json!(false));
    let waiting = fixture
        .admin
        .post(&fixture.at("calls"), &new)
        .await
        .expect(201);
    assert_eq!(waiting["to"], "112");
    let start = fixture.at(&format!("calls/{}/start", id(&waiting)));
    limit(&app, &fixture, json!({ "emergency_calls": null })).await;
    let refused = fixture.admin.act(&start).await;
    assert_eq!(
        refused.violations(),
        [("/to".to_owned(), "emergency_number".to_owned())]
    );
    limit(&app, &fixture, json!({ "emergency_calls": true })).await;
    fixture.admin.act(&start).await.expect(200);
    becomes(&fixture, &waiting, "answered").await;
    assert_eq!(fake.exchange().dials().last().unwrap().sip_call_to, "112");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_to_a_number_under_prefixes() {
    let (fake, app, fixture) = world(&[]).await;
    limit(
        &app,
        &fixture,
        json!({ "allowed_prefixes": ["+49", "+1"], "denied_prefixes": ["+49900"] }),
    )
    .await;
    let made = call(&fixture).await;
    becomes(&fixture, &made, "answered").await;
    let transfer = fixture.at(&format!("calls/{}/transfer", id(&made)));
    for (to, code) in [
        ("sip:+499001123456@127.0.0.1", "denied_prefix"),
        ("sip:%2B499001123456@127.0.0.1;user=phone", "denied_prefix"),
        ("sip:00499001123456@127.0.0.1", "denied_prefix"),
        ("sip:09001123456@127.0.0.1", "denied_prefix"),
        ("sip:+4909001123456@127.0.0.1", "denied_prefix"),
        (
            "sip:0900-1-123456;phone-context=+49@127.0.0.1",
            "denied_prefix",
        ),
        (
            "sip:01149-900-1-123456;phone-context=+1@127.0.0.1",
            "denied_prefix",
        ),
        (
            "sip:\u{ff0b}４９９００１１２３４５６@127.0.0.1",
            "denied_prefix",
        ),
        ("tel:+499001123456", "denied_prefix"),
        ("sip:+442079460000@127.0.0.1", "prefix_not_allowed"),
        ("sip:desk@127.0.0.1", "number_not_international"),
        ("sip:22000@127.0.0.1", "number_not_international"),
        ("sip:100@127.0.0.1", "number_not_international"),
        ("sip:+49!9001123456@127.0.0.1", "number_not_international"),
        ("sip:tel:+499001123456@127.0.0.1", "invalid_target"),
        ("sip:+4930123456;ext=900@127.0.0.1", "invalid_target"),
        ("sip:+4930123456@127.0.0.1?Replaces=x", "invalid_address"),
        ("sip:+4930123456@127.0.0.1;transport=tcp", "invalid_address"),
        ("sip:+4930123456@10.0.0.1", "address_refused"),
        ("SIP:+4930123456@10.0.0.1;user=phone", "address_refused"),
        ("sip:+4930123456@0x0a000001", "address_refused"),
    ] {
        let refused = fixture.admin.post(&transfer, &json!({ "to": to })).await;
        assert_eq!(
            refused.violations(),
            [("/to".to_owned(), code.to_owned())],
            "{to}"
        );
    }
    // In service, but unknown to the compiled numbering plan.
    let to = json!({ "to": "sip:+1-274-5550123@127.0.0.1" });
    fixture.admin.post(&transfer, &to).await.expect(200);
    assert_eq!(fake.exchange().transfers(), ["sip:+12745550123@127.0.0.1"]);
}

/// The barrier of the app's schema, held as long as the connection lives.
async fn barrier(app: &TestApp) -> AsyncPgConnection {
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    let hold = "SELECT pg_advisory_lock(hashtext(current_schema()))";
    database.batch_execute(hold).await.unwrap();
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_stopped_just_before_its_dial_rings_nobody() {
    let (fake, app, fixture) = world(&["--crash-at=wait:before_dial"]).await;
    let mut held = barrier(&app).await;
    let made = call(&fixture).await;
    eventually("the dial is about to be recorded", async || {
        let waiting = "pg_locks WHERE locktype = 'advisory' AND NOT granted
                       AND objid::bigint = hashtext(current_schema())::bigint & 4294967295";
        (count(&mut held, waiting).await > 0).then_some(())
    })
    .await;
    let stop = fixture.at(&format!("calls/{}/stop", id(&made)));
    fixture.admin.act(&stop).await;
    drop(held);
    becomes(&fixture, &made, "canceled").await;
    let session = fixture.at(&format!(
        "sessions/{}",
        made["session_id"].as_str().unwrap()
    ));
    eventually("its job is over", async || {
        let session = fixture.admin.get(&session).await.expect(200);
        (session["state"] == "ended").then_some(())
    })
    .await;
    assert_eq!(fake.exchange().dials(), []);
}
