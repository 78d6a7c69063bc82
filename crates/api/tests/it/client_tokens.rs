//! Client tokens, with which a web page reads its session.

use serde_json::{Value, json};

use super::support::{Fixture, ORIGIN, Response, TestApp, eventually, id};

async fn mint(fixture: &Fixture, session: &Value, body: Value) -> Response {
    let path = fixture.at(&format!("sessions/{}/client-tokens", id(session)));
    fixture.admin.post(&path, &body).await
}

async fn token(fixture: &Fixture, session: &Value) -> String {
    let made = mint(fixture, session, json!({ "origin": ORIGIN })).await;
    made.expect(201)["token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reads_its_session_and_nothing_else() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let (session, other) = (fixture.session(true).await, fixture.session(true).await);
    let page = app.with_key(&token(&fixture, &session).await);
    let at = |rest: &str| fixture.at(&format!("sessions/{}{rest}", id(&session)));
    let read = page.get(&at("")).await;
    assert!(
        read.header("ratelimit-policy").contains("session-reads"),
        "not that of the key"
    );
    let read = read.expect(200);
    assert_eq!(read["id"], session["id"]);
    assert_eq!(session["variables"], json!({ "company": "Acme" }));
    assert_eq!(
        (&read["variables"], &read["metadata"]),
        (&json!({}), &json!({}))
    );
    for rest in ["/events", "/transcript", "/participants"] {
        page.get(&at(rest)).await.expect(200);
    }
    let others = fixture.at(&format!("sessions/{}", id(&other)));
    page.get(&others).await.expect_error(404, "not_found");
    for path in [
        fixture.at("sessions"),
        at("/usage"),
        at("/agent-runs"),
        fixture.at("calls"),
        format!("/api/tenants/{}", fixture.tenant),
        "/api/whoami".to_owned(),
    ] {
        page.get(&path).await.expect_error(403, "missing_scope");
    }
    let stop = page.act(&at("/stop")).await;
    stop.expect_error(403, "missing_scope");
    let body = json!({ "origin": ORIGIN });
    let again = page.post(&at("/client-tokens"), &body).await;
    again.expect_error(403, "missing_scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_for_pages_of_its_origin() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let token = token(&fixture, &session).await;
    let path = fixture.at(&format!("sessions/{}", id(&session)));
    let foreign = app.with_key(&token);
    let foreign = foreign.with_header("origin", "https://other.example");
    foreign.get(&path).await.expect_error(401, "invalid_key");

    // A page of the service's own origin: its browser does not name the origin in a read.
    let host = fixture.base.strip_prefix("http://").unwrap();
    let body = json!({ "origin": fixture.base });
    let own = mint(&fixture, &session, body).await.expect(201);
    for (token, site, status) in [
        (own["token"].as_str().unwrap(), "same-origin", 200),
        (own["token"].as_str().unwrap(), "cross-site", 401),
        (&*token, "same-origin", 401),
    ] {
        let request = reqwest::Client::new()
            .get(format!("{}{path}", fixture.base))
            .bearer_auth(token)
            .header("host", host)
            .header("sec-fetch-site", site);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{site}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_with_its_session_and_its_key() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let (ends, lives) = (fixture.session(true).await, fixture.session(true).await);
    let at = |session: &Value, rest: &str| fixture.at(&format!("sessions/{}{rest}", id(session)));
    let page = app.with_key(&token(&fixture, &ends).await);
    page.get(&at(&ends, "")).await.expect(200);
    fixture.admin.act(&at(&ends, "/stop")).await;
    eventually("the session is over", async || {
        (fixture.read(&ends).await["state"] == "ended").then_some(())
    })
    .await;
    let over = page.get(&at(&ends, "")).await;
    over.expect_error(401, "invalid_key");
    let late = mint(&fixture, &ends, json!({ "origin": ORIGIN })).await;
    late.expect_error(409, "session_over");

    let scopes = json!({ "name": "pages", "scopes": ["tokens:write", "sessions:read"] });
    let made = fixture.admin.post(&fixture.at("keys"), &scopes).await;
    let made = made.expect(201);
    let key = app.with_key(made["secret"].as_str().unwrap());
    let body = json!({ "origin": ORIGIN });
    let minted = key.post(&at(&lives, "/client-tokens"), &body).await;
    let page = app.with_key(minted.expect(201)["token"].as_str().unwrap());
    page.get(&at(&lives, "")).await.expect(200);
    let revoke = fixture.at(&format!("keys/{}", id(&made["key"])));
    fixture.admin.delete(&revoke).await.expect(204);
    let revoked = page.get(&at(&lives, "")).await;
    revoked.expect_error(401, "invalid_key");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_may_be_is_bounded() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    for origin in ["*", "app.example", "https://app.example/", "null"] {
        let refused = mint(&fixture, &session, json!({ "origin": origin })).await;
        let expected = [("/origin".to_owned(), "invalid_url".to_owned())];
        assert_eq!(refused.violations(), expected, "{origin}");
    }
    for ttl in [59, 3601] {
        let body = json!({ "origin": ORIGIN, "ttl_seconds": ttl });
        let refused = mint(&fixture, &session, body).await;
        assert_eq!(refused.violations()[0].0, "/ttl_seconds");
    }
    let only = json!({ "name": "k", "scopes": ["tokens:write"] });
    let made = fixture.admin.post(&fixture.at("keys"), &only).await;
    let key = app.with_key(made.expect(201)["secret"].as_str().unwrap());
    let path = fixture.at(&format!("sessions/{}/client-tokens", id(&session)));
    let body = json!({ "origin": ORIGIN });
    let refused = key.post(&path, &body).await;
    refused.expect_error(403, "missing_scope");
}
