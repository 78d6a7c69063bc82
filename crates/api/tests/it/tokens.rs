//! Join tokens.

use livekit_api::access_token::TokenVerifier;
use serde_json::{Value, json};

use super::support::{Fixture, TestApp, environment};

async fn mint(fixture: &Fixture, session: &Value, more: Value) -> super::support::Response {
    let mut body = json!({ "session_id": session["id"] });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    fixture.admin.post(&fixture.at("tokens"), &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_one_room_and_nothing_else() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let verifier =
        TokenVerifier::with_api_key(&environment("LIVEKIT_KEY"), &environment("LIVEKIT_SECRET"));
    for (role, publishes, hidden) in [
        ("user", true, false),
        ("observer", false, true),
        ("supervisor", true, false),
    ] {
        let token = mint(&fixture, &session, json!({ "role": role }))
            .await
            .expect(201);
        assert_eq!(token["server_url"], environment("LIVEKIT_URL"));
        let claims = verifier
            .verify(token["participant_token"].as_str().unwrap())
            .unwrap();
        assert_eq!(claims.sub, token["participant_identity"].as_str().unwrap());
        assert!(claims.sub.starts_with("usr_"));
        let video = claims.video;
        assert_eq!(video.room, session["room_name"].as_str().unwrap());
        assert!(video.room_join && !video.room_create && !video.room_list && !video.room_admin);
        assert_eq!(
            (video.can_publish, video.hidden),
            (Some(publishes), hidden),
            "{role}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_and_times_are_bounded() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let given = mint(&fixture, &session, json!({ "identity": "ada" }))
        .await
        .expect(201);
    assert_eq!(given["participant_identity"], "ada");
    for reserved in ["agent-x", "sip_x", "usr_x"] {
        let refused = mint(&fixture, &session, json!({ "identity": reserved })).await;
        assert_eq!(
            refused.violations(),
            [("/identity".into(), "reserved".into())]
        );
    }
    for ttl in [9, 3601] {
        let refused = mint(&fixture, &session, json!({ "ttl_seconds": ttl })).await;
        assert_eq!(refused.violations()[0].0, "/ttl_seconds");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_live_session_can_be_joined() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(false).await;
    mint(&fixture, &session, json!({}))
        .await
        .expect_error(409, "session_not_joinable");
    let stop = fixture.at(&format!(
        "sessions/{}/stop",
        session["id"].as_str().unwrap()
    ));
    fixture.admin.act(&stop).await.expect(200);
    mint(&fixture, &session, json!({}))
        .await
        .expect_error(409, "session_not_joinable");
}
