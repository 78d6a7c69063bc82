//! Request and response types of inbound mappings.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    AgentId, AgentRunId, BindingId, CallId, MappingId, PhoneNumber, RawJson, SessionId, clock,
    hours::OpeningHours,
    prompt::Variables,
    text::{OneLine, Text},
};
use patchbay_persistence::{inbound_mappings, sip_objects};
use patchbay_service::{
    Error, Result, Service,
    telephony::mappings::{checked_headers, checked_hours, require_origin},
    telephony::{origins, resolve},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    extract::{Patch, flag},
    openapi::vocabulary::RefusalReason,
    response::Resource,
    routes::{credentials, sessions::AgentRunConfig, sip_trunks::Sync},
    timestamp::Timestamp,
};

/// An inbound mapping: how calls to a phone number are answered.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fc0",
    "number": "+4930123456",
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20",
    "closed_agent_id": null,
    "variables": {"company": "Acme"},
    "allowed_addresses": ["203.0.113.0/24"],
    "username": null,
    "enabled": true,
    "hours": {
        "time_zone": "Europe/Berlin", "open": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:30"}]
    },
    "headers": ["X-Customer"],
    "sync": {"state": "synced", "error": null, "attempts": 1, "synced_at": "2026-11-23T20:00:01Z"},
    "revision": 1,
    "created_at": "2026-11-23T20:00:00Z",
    "updated_at": "2026-11-23T20:00:00Z"
}))]
pub struct InboundMapping {
    /// Id of the mapping.
    pub id: MappingId,
    /// Phone number in E.164 format.
    #[schema(max_length = 16)]
    number: String,
    /// Agent that answers, with the binding that is active when the call arrives.
    agent_id: AgentId,
    /// Agent that answers outside the opening hours; null if calls are refused then.
    closed_agent_id: Option<AgentId>,
    /// Values of the prompt's variables.
    #[schema(value_type = Object)]
    variables: RawJson,
    /// IP addresses and networks (CIDR) from which calls are accepted. If empty, calls are accepted from any address.
    #[schema(max_items = 50, value_type = Vec<Text<1, 64>>)]
    allowed_addresses: Vec<String>,
    /// SIP user name with which the carrier must authenticate; null if no authentication is required.
    #[schema(max_length = 200)]
    username: Option<String>,
    /// Whether calls to the number are accepted.
    enabled: bool,
    /// Opening hours; null means always open.
    #[schema(value_type = Option<OpeningHours>)]
    hours: Option<Value>,
    /// Names of SIP headers that are copied to the caller's participant attributes, as `header.` followed by the name
    /// in lowercase.
    #[schema(max_items = 50, value_type = Vec<Text<3, 64>>)]
    headers: Vec<String>,
    /// Sync status of the mapping with LiveKit.
    sync: Sync,
    /// Revision number, incremented with every change.
    #[schema(minimum = 1)]
    revision: i64,
    /// Time at which the mapping was created.
    created_at: Timestamp,
    /// Time at which the mapping was last changed.
    updated_at: Timestamp,
}

impl Resource for InboundMapping {
    const VERSIONED: bool = true;
    fn revision(&self) -> Option<i64> {
        Some(self.revision)
    }
}

impl From<(inbound_mappings::Mapping, sip_objects::SipObject)> for InboundMapping {
    fn from((row, object): (inbound_mappings::Mapping, sip_objects::SipObject)) -> Self {
        let inbound_mappings::Mapping {
            tenant_id: _,
            id,
            number,
            agent_id,
            closed_agent_id,
            worker_name: _,
            variables,
            allowed_addresses,
            username,
            enabled,
            hours,
            headers,
            revision,
            created_at,
            updated_at,
        } = row;
        Self {
            id,
            number,
            agent_id,
            closed_agent_id,
            variables,
            allowed_addresses,
            username,
            enabled,
            hours: hours.map(current_format),
            headers,
            sync: object.into(),
            revision,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// Converts stored opening hours to the current format. Unreadable hours are returned as stored rather than as always
/// open, because calls are refused in that case.
fn current_format(hours: Value) -> Value {
    let parsed = serde_json::from_value::<OpeningHours>(hours.clone());
    parsed.and_then(serde_json::to_value).unwrap_or(hours)
}

/// Request to create an inbound mapping.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "number": "+49 30 123456", "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20", "variables": {"company": "Acme"},
    "allowed_addresses": ["203.0.113.0/24"]
}))]
pub struct CreateInboundMapping {
    /// Phone number that the operator has assigned to this tenant and that has no mapping yet.
    pub number: PhoneNumber,
    /// Agent that answers.
    pub agent_id: AgentId,
    /// Agent that answers outside the opening hours. By default, calls are refused then. It must have the same worker
    /// name as `agent_id`.
    pub closed_agent_id: Option<AgentId>,
    /// Values of the prompt's variables.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub variables: Variables,
    /// IP addresses and networks (CIDR) from which calls are accepted. Required unless a user name is given. Networks
    /// may be no larger than `/16` for IPv4 and `/32` for IPv6. Private and local networks must be within a network
    /// that the operator allows.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub allowed_addresses: Vec<Text<1, 64>>,
    /// SIP user name with which the carrier must authenticate. Requires `password`.
    pub username: Option<OneLine<1, 200>>,
    /// SIP password with which the carrier must authenticate. It is stored encrypted and never returned, logged or
    /// written to the audit trail.
    #[schema(write_only)]
    pub password: Option<OneLine<1, 200>>,
    /// Whether calls to the number are accepted; true by default.
    pub enabled: Option<bool>,
    /// Opening hours; always open by default.
    pub hours: Option<OpeningHours>,
    /// Names of SIP headers, beginning with `X-`, that are copied to the caller's participant attributes.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub headers: Vec<Text<3, 64>>,
}

/// Request to update an inbound mapping. The phone number cannot be changed; create another mapping for another
/// number.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"enabled": false}))]
pub struct PatchInboundMapping {
    /// Agent that answers.
    #[serde(default)]
    agent_id: Patch<AgentId>,
    /// Agent that answers outside the opening hours; null to refuse calls then.
    #[serde(default)]
    closed_agent_id: Patch<Option<AgentId>>,
    /// Values of the prompt's variables. Replaces all previous values.
    #[serde(default)]
    #[schema(value_type = Object)]
    variables: Patch<Variables>,
    /// IP addresses and networks (CIDR) from which calls are accepted, none larger than `/16` for IPv4 and `/32` for
    /// IPv6. Replaces the previous list.
    #[serde(default)]
    #[schema(max_items = 50, value_type = Vec<Text<1, 64>>)]
    allowed_addresses: Patch<Vec<Text<1, 64>>>,
    /// SIP user name with which the carrier must authenticate; null removes it and the password.
    #[serde(default)]
    username: Patch<Option<OneLine<1, 200>>>,
    /// SIP password with which the carrier must authenticate.
    #[serde(default)]
    #[schema(write_only)]
    password: Patch<OneLine<1, 200>>,
    /// Whether calls to the number are accepted.
    #[serde(default)]
    enabled: Patch<bool>,
    /// Opening hours; null for always open.
    #[serde(default)]
    hours: Patch<Option<OpeningHours>>,
    /// Names of SIP headers that are copied to the caller's participant attributes. Replaces the previous list.
    #[serde(default)]
    #[schema(max_items = 50, value_type = Vec<Text<3, 64>>)]
    headers: Patch<Vec<Text<3, 64>>>,
}

impl PatchInboundMapping {
    /// Applies the change to the row and returns the new password, if one is given.
    pub fn apply(
        self,
        service: &Service,
        row: &mut inbound_mappings::Mapping,
    ) -> Result<Option<OneLine<1, 200>>> {
        self.agent_id.apply(&mut row.agent_id, |id| id);
        self.closed_agent_id
            .apply(&mut row.closed_agent_id, |id| id);
        if let Patch::To(variables) = self.variables {
            row.variables = RawJson::of(&variables).map_err(Error::internal)?;
        }
        if let Patch::To(addresses) = self.allowed_addresses {
            row.allowed_addresses = origins::checked(addresses, &service.settings.outbound_allow)?;
        }
        let password = credentials::apply(self.username, self.password, &mut row.username)?;
        self.enabled.apply(&mut row.enabled, |enabled| enabled);
        if let Patch::To(hours) = self.hours {
            row.hours = checked_hours(hours)?;
        }
        if let Patch::To(headers) = self.headers {
            row.headers = checked_headers(headers)?;
        }
        require_origin(&row.allowed_addresses, row.username.is_some())?;
        Ok(password)
    }
}

/// Filters for listing inbound mappings.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InboundMappingFilter {
    /// Only the mapping of this phone number.
    pub number: Option<PhoneNumber>,
    /// Only mappings of this agent.
    pub agent_id: Option<AgentId>,
    /// Only mappings that are enabled (`true`) or disabled (`false`).
    #[serde(default, deserialize_with = "flag")]
    pub enabled: Option<bool>,
}

/// Request of a worker to claim an inbound call.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"room_name": "dev-in-0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fc0_+4930654321_x7k2"}))]
pub struct ClaimCall {
    /// Name of the room to which the worker was dispatched.
    pub room_name: OneLine<1, 250>,
}

/// A claimed inbound call, with the configuration for the worker.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "session_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f60",
    "agent_run_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f70",
    "call_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fb0",
    "config": {
        "tenant_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10",
        "session_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f60",
        "agent_run_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f70",
        "state": "starting",
        "digest": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "configuration": {
            "schema": 3, "knowledge": null,
            "worker_name": "patchbay-agent",
            "prompt": {"template": "You help callers.", "variables": []},
            "runtime": {"kind": "echo", "greeting_tone": {"frequency_hz": 880, "duration_ms": 400}, "limits": {"max_duration_seconds": 600}},
            "tools": []
        },
        "prompt": "You help callers.",
        "greeting": null,
        "call": null
    }
}))]
pub struct Claim {
    /// Id of the session.
    pub session_id: SessionId,
    /// Id of the agent run that the worker executes.
    pub agent_run_id: AgentRunId,
    /// Id of the call.
    pub call_id: CallId,
    /// Configuration of the agent run.
    pub config: AgentRunConfig,
}

impl Resource for Claim {}

/// Request to resolve an inbound phone number.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"number": "+49 30 123456"}))]
pub struct ResolveNumber {
    /// Called phone number.
    pub number: PhoneNumber,
    /// Time of the call; now by default.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    pub at: Option<DateTime<Utc>>,
}

/// Why a call would be refused.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"code": "closed", "message": "It is outside of the opening hours, and no other agent answers then."}))]
pub struct Refusal {
    /// Stable code. New codes may be added.
    #[schema(value_type = RefusalReason)]
    code: String,
    /// Explanation for a person.
    #[schema(max_length = 1000)]
    message: String,
}

/// Result of resolving an inbound phone number.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "number": "+4930123456", "at": "2026-11-23T20:00:00Z", "taken": true, "error": null,
    "mapping_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fc0", "open": true,
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20", "binding_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f40"
}))]
pub struct Resolution {
    /// Phone number in E.164 format.
    #[schema(max_length = 16)]
    pub number: String,
    /// Time for which the number was resolved.
    pub at: Timestamp,
    /// Whether the call would be accepted.
    pub taken: bool,
    /// Why the call would be refused; null if it would be accepted.
    pub error: Option<Refusal>,
    /// Mapping of the phone number; null if there is none.
    pub mapping_id: Option<MappingId>,
    /// Whether the time is within the opening hours.
    pub open: Option<bool>,
    /// Agent that would answer.
    pub agent_id: Option<AgentId>,
    /// Binding that the agent would run.
    pub binding_id: Option<BindingId>,
}

impl Resource for Resolution {}

impl From<resolve::Resolution> for Resolution {
    fn from(resolved: resolve::Resolution) -> Self {
        let resolve::Resolution {
            number,
            at,
            taken,
            reason,
            detail,
            mapping_id,
            is_open,
            agent_id,
            binding_id,
        } = resolved;
        let error = reason.map(|code| Refusal {
            code,
            message: detail.unwrap_or_default(),
        });
        Self {
            number,
            at: at.into(),
            taken,
            error,
            mapping_id,
            open: is_open,
            agent_id,
            binding_id,
        }
    }
}
