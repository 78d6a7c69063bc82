//! Signed webhooks.

use livekit_api::access_token::AccessToken;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, Response, TestApp, environment};

/// The `Authorization` header for a body.
pub fn sign(body: &[u8]) -> String {
    sign_with(body, &environment("LIVEKIT_SECRET"))
}

/// The same with another secret.
pub fn sign_with(body: &[u8], secret: &str) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use sha2::{Digest as _, Sha256};
    AccessToken::with_api_key(&environment("LIVEKIT_KEY"), secret)
        .with_sha256(&BASE64_STANDARD.encode(Sha256::digest(body)))
        .to_jwt()
        .unwrap()
}

/// An event about a session's room, at a Unix time.
pub fn event(id: &str, name: &str, session: &Value, at: i64, participant: Option<Value>) -> Value {
    json!({
        "id": id,
        "event": name,
        "createdAt": at.to_string(),
        "room": { "sid": session["room_sid"], "name": session["room_name"] },
        "participant": participant,
    })
}

/// Delivers an event as LiveKit does.
pub async fn deliver(app: &TestApp, event: &Value) -> Response {
    deliver_with(&app.anonymous(), event).await
}

/// The same with a client without a key.
pub async fn deliver_with(client: &Client, event: &Value) -> Response {
    let body = event.to_string().into_bytes();
    let client = client.with_header("authorization", &sign(&body));
    client
        .with_header("content-type", "application/webhook+json")
        .send(Method::POST, "/api/livekit/webhooks", Some(body))
        .await
}

/// Unix time in seconds.
pub fn now() -> i64 {
    chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp()
}
