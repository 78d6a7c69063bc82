//! Names in LiveKit of Patchbay's SIP objects and rooms, by which they are found again.

use patchbay_domain::{MappingId, states::SipObjectKind};
use patchbay_persistence::sip_objects::SipObject;
use uuid::Uuid;

use crate::Service;

/// Returns the name prefix of a resource's SIP objects.
pub(super) fn prefix(service: &Service, object: &SipObject) -> String {
    format!("{}-{}-{}-", service.settings.env, object.kind, object.id)
}

/// Returns the name prefix of the rooms of calls to a mapping.
pub(super) fn room_prefix(service: &Service, mapping: MappingId) -> String {
    format!("{}-in-{mapping}", service.settings.env)
}

/// Returns the resource that a SIP object belongs to by its name; `None` if it is not Patchbay's.
pub(super) fn owner(service: &Service, found: &patchbay_livekit::SipObject) -> Option<Uuid> {
    let rest = found
        .name
        .strip_prefix(&service.settings.env)?
        .strip_prefix('-')?;
    let id = SipObjectKind::ALL
        .iter()
        .find_map(|kind| rest.strip_prefix(kind.as_str())?.strip_prefix('-'))?;
    id.get(..36)?.parse().ok()
}
