//! A participant as observed in LiveKit.

use std::collections::HashMap;

use patchbay_domain::states::ParticipantKind;

/// A participant as LiveKit reports it, in a webhook event or in the list of a room's participants.
pub struct ObservedParticipant<'a> {
    /// LiveKit's participant sid.
    pub sid: &'a str,
    /// Identity in the room.
    pub identity: &'a str,
    /// Display name.
    pub name: &'a str,
    /// Kind of participant.
    pub kind: ParticipantKind,
    /// Attributes; those of a SIP participant contain the status of its call.
    pub attributes: &'a HashMap<String, String>,
}
