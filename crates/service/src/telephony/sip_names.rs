//! Names in LiveKit, by which objects and rooms of ours are found again.

use patchbay_domain::{MappingId, states::SipObjectKind};
use patchbay_persistence::sip_objects::SipObject;
use uuid::Uuid;

use crate::Service;

/// The beginning of the names of a resource's objects.
pub(super) fn prefix(service: &Service, object: &SipObject) -> String {
    format!("{}-{}-{}-", service.settings.env, object.kind, object.id)
}

/// The beginning of the names of rooms that calls to a mapping have.
pub(super) fn room_prefix(service: &Service, mapping: MappingId) -> String {
    format!("{}-in-{mapping}", service.settings.env)
}

/// Which of our resources an object of LiveKit's says it belongs to.
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
