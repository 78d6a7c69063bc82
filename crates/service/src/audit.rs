//! What a change leaves in the audit trail. Personal fields are named as changed; their values are
//! never stored there.

use patchbay_domain::{Clock, RawJson, call::KNOWN_REASONS};
use patchbay_persistence::{TenantTx, audit};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Error, Origin, Result};

/// Fields whose values never enter the trail, whatever they are of.
const PERSONAL: [&str; 7] = [
    "variables",
    "metadata",
    "email",
    "display_name",
    "transcript",
    // LiveKit names the room of a call in after who calls.
    "room_name",
    // One that a caller has chosen; what we make of a user's id is told as `participant`.
    "identity",
];

/// Fields that are personal in resources of one kind alone.
const PERSONAL_OF: [(&str, &[&str]); 4] = [
    ("user", &["role", "external_id"]),
    // Words of a worker, and what LiveKit said.
    ("session", &["error_detail", "last_error"]),
    ("call", &["from", "to", "detail", "sip_call_id"]),
    // People name files after people, and what is wrong with one may be told in its words.
    ("file", &["name", "ingest"]),
];

/// The outcome of a change, and what the trail says of it.
pub struct Change<T> {
    /// What the caller gets.
    pub value: T,
    /// What happened; nothing where the request found all as it wished.
    pub events: Vec<Event>,
}

impl<T> Change<T> {
    /// A change with one event.
    pub fn one(value: T, event: Event) -> Self {
        Self {
            value,
            events: vec![event],
        }
    }

    /// The same change with another value.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Change<U> {
        Change {
            value: map(self.value),
            events: self.events,
        }
    }

    /// No change after all.
    pub fn none(value: T) -> Self {
        Self {
            value,
            events: Vec::new(),
        }
    }
}

/// One thing that happened.
pub struct Event {
    action: String,
    resource_kind: &'static str,
    resource_id: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl Event {
    /// `kind` was created.
    pub fn created(kind: &'static str, id: impl ToString, after: &impl Serialize) -> Self {
        Self::of("created", kind, id, None::<&()>, Some(after))
    }

    /// `kind` was changed.
    pub fn updated<T: Serialize>(
        kind: &'static str,
        id: impl ToString,
        before: &T,
        after: &T,
    ) -> Self {
        Self::of("updated", kind, id, Some(before), Some(after))
    }

    /// `kind` was deleted.
    pub fn deleted(kind: &'static str, id: impl ToString, before: &impl Serialize) -> Self {
        Self::of("deleted", kind, id, Some(before), None::<&()>)
    }

    /// Something of its own name happened to `kind`.
    pub fn of(
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
}

/// Writes an event in the transaction of the change itself.
pub(crate) async fn write(
    tx: &mut TenantTx,
    clock: &Clock,
    origin: &Origin,
    event: Event,
) -> Result<()> {
    let Event {
        action,
        resource_kind,
        resource_id,
        mut before,
        mut after,
    } = event;
    let changed = changed_fields(before.as_ref(), after.as_ref());
    redact(resource_kind, &mut before);
    redact(resource_kind, &mut after);
    let row = audit::AuditEvent {
        tenant_id: tx.tenant(),
        id: clock.new_id(),
        at: clock.now(),
        actor_kind: origin.actor.kind().to_owned(),
        actor_id: origin.actor.id(),
        action,
        resource_kind: resource_kind.to_owned(),
        resource_id,
        before: kept(before)?,
        after: kept(after)?,
        changed,
        request_id: origin.request_id.clone(),
        address: origin.address.map(|address| address.to_string()),
    };
    Ok(audit::insert(tx, &row).await?)
}

/// The top-level fields that differ.
fn changed_fields(before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let empty = Map::new();
    let fields = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    let (before, after) = (fields(before), fields(after));
    let (before, after) = (
        before.as_ref().unwrap_or(&empty),
        after.as_ref().unwrap_or(&empty),
    );
    let mut names: Vec<_> = before.keys().chain(after.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| before.get(name) != after.get(name));
    names
}

fn kept(value: Option<Value>) -> Result<Option<RawJson>> {
    let text = value.map(|value| RawJson::of(&value)).transpose();
    text.map_err(Error::internal)
}

fn redact(kind: &str, value: &mut Option<Value>) {
    let Some(Value::Object(fields)) = value else {
        return;
    };
    let of_kind = PERSONAL_OF.iter().filter(|(of, _)| *of == kind);
    let of_kind: Vec<_> = of_kind.flat_map(|(_, names)| *names).collect();
    fields.retain(|name, value| {
        let name = name.as_str();
        // A stop may give a reason in anybody's words.
        let own_words = matches!(name, "end_reason" | "reason")
            && value.as_str().is_some_and(|r| !KNOWN_REASONS.contains(&r));
        !(own_words || PERSONAL.contains(&name) || of_kind.contains(&&name))
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn personal_fields_are_named_and_not_kept() {
        let before = json!({"name": "a", "metadata": {"phone": "1"}, "revision": 1});
        let after = json!({"name": "a", "metadata": {"phone": "2"}, "revision": 2});
        let changed = changed_fields(Some(&before), Some(&after));
        assert_eq!(changed, ["metadata", "revision"]);
        let mut kept = Some(after);
        redact("agent", &mut kept);
        assert_eq!(kept, Some(json!({"name": "a", "revision": 2})));
    }

    #[test]
    fn what_is_personal_depends_on_the_kind() {
        let kept = |kind: &str, value: Value| {
            let mut value = Some(value);
            redact(kind, &mut value);
            value.unwrap()
        };
        let named = json!({"name": "a", "role": "b", "identity": "c"});
        assert_eq!(kept("user", named.clone()), json!({"name": "a"}));
        assert_eq!(kept("file", named.clone()), json!({"role": "b"}));
        assert_eq!(kept("session", named), json!({"name": "a", "role": "b"}));
        let ended = |reason: &str| json!({"state": "ended", "end_reason": reason});
        let known = kept("session", ended("completed"));
        assert_eq!(known, ended("completed"));
        let own_words = kept("session", ended("Ada said goodbye"));
        assert_eq!(own_words, json!({"state": "ended"}));
    }
}
