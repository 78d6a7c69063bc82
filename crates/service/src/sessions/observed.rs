//! What LiveKit shows of a participant.

use std::collections::HashMap;

use patchbay_domain::states::ParticipantKind;

/// A participant as LiveKit shows it, in a webhook or in a list.
pub struct ObservedParticipant<'a> {
    /// LiveKit's id of the stay.
    pub sid: &'a str,
    /// Identity.
    pub identity: &'a str,
    /// Display name.
    pub name: &'a str,
    /// What it is.
    pub kind: ParticipantKind,
    /// Attributes: those of a telephone say how its call stands.
    pub attributes: &'a HashMap<String, String>,
}
