//! Bodies of LiveKit's webhooks.

use arbitrary::{Result, Unstructured};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use livekit_api::access_token::AccessToken;
use patchbay_livekit::{Event, Rejected, receive_event};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::input::json;

const KEYS: (&str, &str) = ("key", "a secret of at least thirty-two characters");

/// Any bytes, signed; one byte more or less than was signed; and an event with any values.
pub fn target(data: &[u8]) {
    let signature = sign(data);
    match receive_event(KEYS, &signature, data) {
        Ok(event) => stored(&event),
        Err(rejected) => assert!(
            matches!(rejected, Rejected::Unreadable(_)),
            "signed: {rejected}"
        ),
    }
    let _ = forged(&mut Unstructured::new(data), data, &signature);
    let _ = lenient(&mut Unstructured::new(data));
}

fn sign(body: &[u8]) -> String {
    AccessToken::with_api_key(KEYS.0, KEYS.1)
        .with_sha256(&BASE64_STANDARD.encode(Sha256::digest(body)))
        .to_jwt()
        .expect("can be signed")
}

/// The stored form of an event parses to the same event.
fn stored(event: &Event) {
    let kept = serde_json::to_value(event).expect("is JSON");
    let again: Event = serde_json::from_value(kept.clone()).expect("is read back");
    assert_eq!(serde_json::to_value(&again).expect("is JSON"), kept);
    assert_eq!(again.at(), event.at());
}

/// Only the signed bytes are accepted.
fn forged(u: &mut Unstructured<'_>, body: &[u8], signature: &str) -> Result<()> {
    let mut changed = body.to_vec();
    let at = u.int_in_range(0..=body.len())?;
    match u.int_in_range(0..=2)? {
        0 => changed.insert(at, u.arbitrary()?),
        1 if at < body.len() => drop(changed.remove(at)),
        _ if at < body.len() => changed[at] ^= u.arbitrary::<u8>()?,
        _ => {}
    }
    if changed != body {
        let taken = receive_event(KEYS, signature, &changed);
        assert!(
            matches!(taken, Err(Rejected::Signature)),
            "{changed:?} for {body:?}"
        );
    }
    let stranger = receive_event(
        (KEYS.0, "the secret of somebody else, as long"),
        signature,
        body,
    );
    assert!(matches!(stranger, Err(Rejected::Signature)));
    Ok(())
}

/// An event with its id and name is accepted, whatever other fields a newer LiveKit adds.
fn lenient(u: &mut Unstructured<'_>) -> Result<()> {
    let (kind, reason, created, more) = (json(u, 2)?, json(u, 2)?, json(u, 1)?, json(u, 2)?);
    // NUL is removed: PostgreSQL cannot store it.
    let name = u.arbitrary::<String>()?.replace('\0', "");
    let event = json!({
        "id": "EV_1", "event": name, "createdAt": created, "numDropped": more,
        "room": { "sid": "RM_1", "name": name, "turnPassword": "5ecret", "more": more },
        "participant": { "sid": "PA_1", "kind": kind, "disconnectReason": reason, "state": more },
    });
    let body = event.to_string().into_bytes();
    let read = receive_event(KEYS, &sign(&body), &body).expect("is taken");
    stored(&read);
    assert_eq!((&*read.id, &read.event), ("EV_1", &name));
    let room = read.room.as_ref().expect("has a room");
    assert_eq!((&*room.sid, &room.name), ("RM_1", &name));
    if let Value::String(kind) = kind
        && !kind.contains('\0')
    {
        assert_eq!(read.participant.as_ref().map(|p| &p.kind), Some(&kind));
    }
    let kept = serde_json::to_value(room).expect("is JSON");
    assert_eq!(
        kept,
        json!({ "sid": "RM_1", "name": name }),
        "and no password"
    );
    Ok(())
}
