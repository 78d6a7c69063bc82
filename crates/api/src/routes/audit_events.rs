//! Routes of the audit trail.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    AuditEventId, Invalid, RawJson,
    audit::{ResourceKind, is_action},
    clock,
    states::ActorKind,
};
use patchbay_persistence::audit;
use patchbay_service::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    extract::{Caller, List, scopes::AuditRead},
    openapi::{Doc, Tag},
    response::Page,
    router::Api,
    timestamp::Timestamp,
};

/// A change of a resource.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f50",
    "at": "2026-11-23T20:00:00Z",
    "actor_kind": "api_key",
    "actor_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f12",
    "action": "agent.updated",
    "resource_kind": "agent",
    "resource_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20",
    "before": {"name": "reception"},
    "after": {"name": "front desk"},
    "changed": ["name"],
    "request_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f11",
    "address": "127.0.0.1"
}))]
pub struct AuditEvent {
    /// Id of the audit event.
    id: AuditEventId,
    /// Time of the change.
    at: Timestamp,
    /// Kind of the actor.
    #[schema(value_type = ActorKind)]
    actor_kind: String,
    /// Id of the API key, or the same value as `actor_kind` for other actors.
    #[schema(max_length = 64)]
    actor_id: String,
    /// Action, as `<resource kind>.<verb>`. New values may be added.
    #[schema(max_length = 100)]
    action: String,
    /// Kind of the resource. New values may be added.
    #[schema(max_length = 50)]
    resource_kind: String,
    /// Id of the resource.
    #[schema(max_length = 200)]
    resource_id: String,
    /// Resource before the change, without secrets and personal fields; null if it was created.
    #[schema(value_type = Object, nullable)]
    before: Option<RawJson>,
    /// Resource after the change, without secrets and personal fields; null if it was deleted.
    #[schema(value_type = Object, nullable)]
    after: Option<RawJson>,
    /// Names of the changed fields, including personal ones.
    #[schema(max_items = 200, value_type = Vec<patchbay_domain::text::Word>)]
    changed: Vec<String>,
    /// Id of the request; empty for changes made by the service itself.
    #[schema(max_length = 128)]
    request_id: String,
    /// IP address of the client; null for changes made by the service itself.
    #[schema(max_length = 64)]
    address: Option<String>,
}

impl From<audit::AuditEvent> for AuditEvent {
    fn from(row: audit::AuditEvent) -> Self {
        let audit::AuditEvent {
            tenant_id: _,
            id,
            at,
            actor_kind,
            actor_id,
            action,
            resource_kind,
            resource_id,
            before,
            after,
            changed,
            request_id,
            address,
        } = row;
        Self {
            id,
            at: at.into(),
            actor_kind,
            actor_id,
            action,
            resource_kind,
            resource_id,
            before,
            after,
            changed,
            request_id,
            address,
        }
    }
}

/// Filters for listing audit events.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditFilter {
    /// Only changes by this actor.
    #[schema(max_length = 64)]
    actor_id: Option<String>,
    /// Only this action, such as `agent.updated`.
    #[schema(max_length = 100, pattern = "^[a-z_]+[.][a-z_]+$")]
    action: Option<String>,
    /// Only changes of resources of this kind.
    #[schema(inline)]
    resource_kind: Option<ResourceKind>,
    /// Only changes of this resource.
    #[schema(max_length = 200)]
    resource_id: Option<String>,
    /// Only changes at or after this time.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    from: Option<DateTime<Utc>>,
    /// Only changes before this time.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    to: Option<DateTime<Utc>>,
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::AuditEvents);
    api.add(
        "/api/tenants/{tenant_id}/audit-events",
        list,
        Doc::get("listAuditEvents", "List audit events").about(
            "Returns the changes of all resources of the tenant, newest first. Each event is \
             written in the same transaction as the change. Secrets are never included, and \
             personal fields only by name.",
        ),
    );
}

impl TryFrom<AuditFilter> for audit::Filter {
    type Error = Error;
    fn try_from(filter: AuditFilter) -> Result<Self> {
        let AuditFilter {
            actor_id,
            action,
            resource_kind,
            resource_id,
            from,
            to,
        } = filter;
        if !action.as_deref().is_none_or(is_action) {
            let message =
                "there is no such action: `<resource kind>.<verb>`, such as `agent.updated`";
            let invalid = Invalid::new("invalid_value", message);
            return Err(Error::invalid_at("/action", invalid));
        }
        Ok(Self {
            actor_id,
            action,
            resource_kind: resource_kind.map(|kind| kind.as_str().to_owned()),
            resource_id,
            from,
            to,
        })
    }
}

async fn list(
    caller: Caller<AuditRead>,
    list: List<AuditFilter, true>,
) -> Result<Page<AuditEvent>> {
    let filter = list.filter.try_into()?;
    let mut tx = caller.read().await?;
    let rows = audit::list(&mut tx, list.window, filter).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), AuditEvent::from))
}
