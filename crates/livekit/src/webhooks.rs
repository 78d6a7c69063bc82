//! Webhooks: verified byte by byte, then parsed leniently.
//!
//! LiveKit signs a hash of the body. The event type here is not the SDK's, because that one refuses events with
//! an unknown enum value, and because a room's TURN password must not be stored.

use std::collections::HashMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use livekit_api::access_token::TokenVerifier;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use patchbay_domain::states::ParticipantKind;

use crate::{client::LiveKit, rooms::kind_of_name, storable};

/// Maximum bytes of an event's id; LiveKit's have 15.
const MOST_ID: usize = 255;

/// Prefix of an agent's identity: LiveKit's default, and that of workers that name the agent run.
const AGENT_IDENTITY: &str = "agent-";

/// Why a webhook was rejected.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// It is not signed by this API key, or the signature is for another body.
    #[error("the signature does not match")]
    Signature,
    /// It is signed, but the body is no event.
    #[error("not an event: {0}")]
    Unreadable(String),
}

/// An event, as far as it is used here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Id of the event; the same for every delivery attempt.
    pub id: String,
    /// Name, such as `participant_joined`. Unknown ones are accepted and not stored.
    pub event: String,
    /// When it happened, in whole Unix seconds.
    #[serde(default, alias = "createdAt", deserialize_with = "seconds")]
    pub created_at: i64,
    /// The room of the event.
    pub room: Option<EventRoom>,
    /// The participant of the event.
    pub participant: Option<EventParticipant>,
}

/// The room of an event.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventRoom {
    /// LiveKit's id.
    #[serde(deserialize_with = "text")]
    pub sid: String,
    /// Its name.
    #[serde(deserialize_with = "text")]
    pub name: String,
}

/// The participant of an event.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventParticipant {
    /// LiveKit's id of this connection; a reconnect gets another one.
    #[serde(deserialize_with = "text")]
    pub sid: String,
    /// Identity from the token.
    #[serde(deserialize_with = "text")]
    pub identity: String,
    /// Display name from the token.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Protobuf's name of the kind; empty for a person.
    #[serde(deserialize_with = "text")]
    pub kind: String,
    /// Protobuf's name of the disconnect reason; empty while it is connected.
    #[serde(alias = "disconnectReason", deserialize_with = "text")]
    pub disconnect_reason: String,
    /// Attributes, such as `sip.callStatus` of a phone.
    pub attributes: HashMap<String, String>,
}

impl Event {
    /// Whether the event says something about a session. Of tracks only an agent's matters: it is when a call is answered.
    pub fn is_relevant(&self) -> bool {
        match &*self.event {
            "room_started" | "room_finished" => self.room.is_some(),
            "participant_joined" | "participant_left" | "participant_connection_aborted" => {
                self.room.is_some()
            }
            "track_published" => {
                let of_agent = |p: &EventParticipant| p.identity.starts_with(AGENT_IDENTITY);
                self.room.is_some() && self.participant.as_ref().is_some_and(of_agent)
            }
            _ => false,
        }
    }

    /// When it happened, rounded down to a whole second.
    pub fn at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.created_at, 0).filter(|_| self.created_at > 0)
    }
}

impl EventParticipant {
    /// Its kind.
    pub fn kind(&self) -> ParticipantKind {
        kind_of_name(&self.kind)
    }
}

/// Protobuf's JSON has 64-bit integers as strings.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text.parse().unwrap_or_default(),
        other => other.as_i64().unwrap_or_default(),
    })
}

/// Protobuf's JSON has an enum value without a name as a number, and null for no value.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    })
}

/// The event in `body`, if `authorization` (a bare JWT) signs exactly these bytes with this key pair. Characters
/// that cannot be stored are removed instead of rejecting the event: it is valid whatever a participant is
/// called, and LiveKit would not send it in another form.
pub fn receive_event(
    (api_key, api_secret): (&str, &str),
    authorization: &str,
    body: &[u8],
) -> Result<Event, Rejected> {
    let claims = TokenVerifier::with_api_key(api_key, api_secret)
        .verify(authorization.trim())
        .map_err(|_| Rejected::Signature)?;
    let signed = BASE64_STANDARD
        .decode(claims.sha256)
        .map_err(|_| Rejected::Signature)?;
    #[cfg(fuzz_planted)]
    let body = body.trim_ascii_end();
    if signed != Sha256::digest(body).as_slice() {
        return Err(Rejected::Signature);
    }
    let unreadable = |error: serde_json::Error| Rejected::Unreadable(error.to_string());
    let value = serde_json::from_slice(body).map_err(unreadable)?;
    let event: Event = serde_json::from_value(storable::json(value)).map_err(unreadable)?;
    if event.id.len() > MOST_ID {
        return Err(Rejected::Unreadable("its id is too long".to_owned()));
    }
    Ok(event)
}

impl LiveKit {
    /// The event in `body`, if `authorization` signs exactly these bytes with the key pair of this client.
    pub fn receive(&self, authorization: &str, body: &[u8]) -> Result<Event, Rejected> {
        let settings = &self.settings;
        let key_pair = (&*settings.api_key, &*settings.api_secret);
        receive_event(key_pair, authorization, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_livekit_sends_and_what_it_may_send_one_day() {
        let event: Event = serde_json::from_str(
            r#"{"event":"participant_left","id":"EV_1","createdAt":"1800000000","unknown":{},
                "room":{"sid":"RM_1","name":"r","turnPassword":"secret"},
                "participant":{"sid":"PA_1","identity":"a","kind":"HOLOGRAM","disconnectReason":"BORED"}}"#,
        )
        .unwrap();
        assert_eq!(event.at().unwrap().timestamp(), 1_800_000_000);
        let participant = event.participant.clone().unwrap();
        assert_eq!(participant.kind(), ParticipantKind::Other);
        assert_eq!(participant.disconnect_reason, "BORED");
        let stored = serde_json::to_string(&event).unwrap();
        assert!(!stored.contains("secret"));
        let again: Event = serde_json::from_str(&stored).unwrap();
        assert_eq!(again.at(), event.at());
        assert_eq!(again.participant.unwrap().disconnect_reason, "BORED");
    }

    #[test]
    fn a_value_without_a_name_is_a_number_and_none_is_null() {
        let event: Event = serde_json::from_str(
            r#"{"event":"participant_left","id":"EV_1","createdAt":null,"room":{"sid":"RM_1","name":null},
                "participant":{"sid":"PA_1","kind":9,"disconnectReason":42,"name":null}}"#,
        )
        .unwrap();
        assert_eq!(event.at(), None);
        let participant = event.participant.unwrap();
        assert_eq!(participant.kind(), ParticipantKind::Other);
        assert_eq!(participant.disconnect_reason, "42");
    }
}
