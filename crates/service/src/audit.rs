//! Audit events of changes. Personal fields are listed as changed; their values are never stored in the
//! audit trail.

use std::collections::BTreeSet;

use patchbay_domain::{Clock, RawJson, TenantId, audit::is_action, call::KNOWN_REASONS};
use patchbay_persistence::audit::AuditEvent;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Error, Origin, Result};

/// Fields whose values are never stored in the audit trail, for any kind of resource.
const PERSONAL_FIELDS: [&str; 7] = [
    "variables",
    "metadata",
    "email",
    "display_name",
    "transcript",
    // LiveKit puts the caller's number into the name of an inbound call's room.
    "room_name",
    // May be chosen by the client. An identity derived from a user's id is recorded as `participant`.
    "identity",
];

/// Fields that are personal in one kind of resource only.
const PERSONAL_FIELDS_OF_KIND: [(&str, &[&str]); 4] = [
    ("user", &["role", "external_id"]),
    // Free text from a worker, and error messages of LiveKit.
    ("session", &["error"]),
    ("call", &["from", "to", "error", "sip_call_id"]),
    // File names often contain names of people, and ingest errors may quote the file.
    ("file", &["name", "ingest"]),
];

/// The outcome of a change, with its audit events.
pub struct Change<T> {
    /// The value that is returned to the caller.
    pub value: T,
    /// Audit events; empty if the request changed nothing.
    pub events: Vec<Event>,
}

impl<T> Change<T> {
    /// A change with one audit event.
    pub fn one(value: T, event: Event) -> Self {
        Self {
            value,
            events: vec![event],
        }
    }

    /// Converts the value and keeps the events.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Change<U> {
        Change {
            value: map(self.value),
            events: self.events,
        }
    }

    /// An outcome that adds no audit events.
    pub fn without_events(value: T) -> Self {
        Self {
            value,
            events: Vec::new(),
        }
    }
}

/// One audit event.
pub struct Event {
    action: String,
    resource_kind: &'static str,
    resource_id: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl Event {
    /// A resource of this kind was created.
    pub fn created(kind: &'static str, id: impl ToString, after: &impl Serialize) -> Self {
        Self::new("created", kind, id, None::<&()>, Some(after))
    }

    /// A resource of this kind was updated.
    pub fn updated<T: Serialize>(
        kind: &'static str,
        id: impl ToString,
        before: &T,
        after: &T,
    ) -> Self {
        Self::new("updated", kind, id, Some(before), Some(after))
    }

    /// A resource of this kind was deleted.
    pub fn deleted(kind: &'static str, id: impl ToString, before: &impl Serialize) -> Self {
        Self::new("deleted", kind, id, Some(before), None::<&()>)
    }

    /// An event with the action `kind.verb`.
    pub fn new(
        verb: &str,
        kind: &'static str,
        id: impl ToString,
        before: Option<&impl Serialize>,
        after: Option<&impl Serialize>,
    ) -> Self {
        Self {
            action: format!("{kind}.{verb}"),
            resource_kind: kind,
            resource_id: id.to_string(),
            before: before.and_then(|value| serde_json::to_value(value).ok()),
            after: after.and_then(|value| serde_json::to_value(value).ok()),
        }
    }

    /// The row of the event, to be written in the transaction of the change that it describes.
    pub(crate) fn row(
        self,
        tenant: TenantId,
        clock: &Clock,
        origin: &Origin,
    ) -> Result<AuditEvent> {
        let Self {
            action,
            resource_kind,
            resource_id,
            mut before,
            mut after,
        } = self;
        debug_assert!(is_action(&action), "`{action}` is in no list of the domain");
        let changed = changed_fields(before.as_ref(), after.as_ref());
        redact(resource_kind, &mut before);
        redact(resource_kind, &mut after);
        Ok(AuditEvent {
            tenant_id: tenant,
            id: clock.new_id(),
            at: clock.now(),
            actor_kind: origin.actor.kind().to_string(),
            actor_id: origin.actor.id(),
            action,
            resource_kind: resource_kind.to_owned(),
            resource_id,
            before: to_raw_json(before)?,
            after: to_raw_json(after)?,
            changed,
            request_id: origin.request_id.clone(),
            address: origin.address.map(|address| address.to_string()),
        })
    }
}

/// Names of the top-level fields that differ, sorted.
fn changed_fields(before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let both = [before, after];
    let objects = both.into_iter().flatten().filter_map(Value::as_object);
    let names: BTreeSet<_> = objects.flat_map(Map::keys).collect();
    let changed = names.into_iter().filter(|name| {
        let [before, after] = both.map(|value| value.and_then(|value| value.get(*name)));
        before != after
    });
    changed.cloned().collect()
}

fn to_raw_json(value: Option<Value>) -> Result<Option<RawJson>> {
    let text = value.map(|value| RawJson::of(&value)).transpose();
    text.map_err(Error::internal)
}

fn redact(kind: &str, value: &mut Option<Value>) {
    let Some(Value::Object(fields)) = value else {
        return;
    };
    let of_kind: Vec<_> = PERSONAL_FIELDS_OF_KIND
        .iter()
        .filter(|(of, _)| *of == kind)
        .flat_map(|(_, names)| *names)
        .collect();
    fields.retain(|name, value| {
        let name = name.as_str();
        // A stop request may give free text as its reason.
        let is_free_text = matches!(name, "end_reason" | "reason")
            && value.as_str().is_some_and(|r| !KNOWN_REASONS.contains(&r));
        !(is_free_text || PERSONAL_FIELDS.contains(&name) || of_kind.contains(&&name))
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn personal_fields_are_listed_as_changed_and_redacted() {
        let before = json!({"name": "a", "metadata": {"phone": "1"}, "revision": 1});
        let after = json!({"name": "a", "metadata": {"phone": "2"}, "revision": 2});
        let changed = changed_fields(Some(&before), Some(&after));
        assert_eq!(changed, ["metadata", "revision"]);
        let mut redacted = Some(after);
        redact("agent", &mut redacted);
        assert_eq!(redacted, Some(json!({"name": "a", "revision": 2})));
    }

    #[test]
    fn personal_fields_depend_on_the_kind_of_resource() {
        let redacted = |kind: &str, value: Value| {
            let mut value = Some(value);
            redact(kind, &mut value);
            value.unwrap()
        };
        let named = json!({"name": "a", "role": "b", "identity": "c"});
        assert_eq!(redacted("user", named.clone()), json!({"name": "a"}));
        assert_eq!(redacted("file", named.clone()), json!({"role": "b"}));
        assert_eq!(
            redacted("session", named),
            json!({"name": "a", "role": "b"})
        );
        let ended = |reason: &str| json!({"state": "ended", "end_reason": reason});
        let standard_reason = redacted("session", ended("completed"));
        assert_eq!(standard_reason, ended("completed"));
        let free_text = redacted("session", ended("Ada said goodbye"));
        assert_eq!(free_text, json!({"state": "ended"}));
    }
}
