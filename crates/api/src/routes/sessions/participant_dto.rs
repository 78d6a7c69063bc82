//! Participants of a session.

use patchbay_domain::{ParticipantId, states::ParticipantKind};
use patchbay_persistence::participants;
use serde::Serialize;
use utoipa::ToSchema;

use crate::timestamp::Timestamp;

/// A participant of a session.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f80",
    "sid": "PA_def",
    "identity": "usr_0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f81",
    "name": "",
    "kind": "standard",
    "invited_at": null,
    "joined_at": "2026-11-23T20:00:02Z",
    "left_at": null,
    "disconnect_reason": null
}))]
pub struct Participant {
    /// Id of the participant.
    id: ParticipantId,
    /// LiveKit's id of the participant, which differs after a rejoin; null before it joined.
    #[schema(max_length = 100)]
    sid: Option<String>,
    /// Identity in the token.
    #[schema(max_length = 200)]
    identity: String,
    /// Display name in the token.
    #[schema(max_length = 200)]
    name: String,
    /// Kind of the participant.
    kind: ParticipantKind,
    /// Time when it was attached; null for participants that joined with a token, and for the session's own agents.
    invited_at: Option<Timestamp>,
    /// Time when it joined; null before, and if only its leaving was observed.
    joined_at: Option<Timestamp>,
    /// Time when it left; null while it is in the room, and if it never joined.
    left_at: Option<Timestamp>,
    /// LiveKit's reason for the disconnect.
    #[schema(max_length = 100)]
    disconnect_reason: Option<String>,
}

impl From<participants::Participant> for Participant {
    fn from(row: participants::Participant) -> Self {
        let participants::Participant {
            tenant_id: _,
            id,
            session_id: _,
            sid,
            identity,
            name,
            kind,
            joined_at,
            left_at,
            disconnect_reason,
            invited_at,
        } = row;
        Self {
            id,
            sid,
            identity,
            name,
            kind,
            invited_at: Timestamp::optional(invited_at),
            joined_at: Timestamp::optional(joined_at),
            left_at: Timestamp::optional(left_at),
            disconnect_reason,
        }
    }
}
