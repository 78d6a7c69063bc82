//! What goes over the wire about inbound mappings.

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
    answer::Resource,
    extract::Patch,
    routes::{credentials, sessions::AgentRunConfig, sip_trunks::Sync},
};

/// What happens to calls to a number.
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
    /// Id.
    pub id: MappingId,
    /// The number, in E.164.
    #[schema(max_length = 16)]
    number: String,
    /// Who answers, with the binding that is active at that moment.
    agent_id: AgentId,
    /// Who answers outside the opening hours; null where nobody does.
    closed_agent_id: Option<AgentId>,
    /// Values of the prompt's variables.
    #[schema(value_type = Object)]
    variables: RawJson,
    /// Addresses and networks that calls may come from; from anywhere where there are none.
    #[schema(max_items = 50, value_type = Vec<Text<1, 64>>)]
    allowed_addresses: Vec<String>,
    /// User name that the carrier calls with; null where its address is enough.
    #[schema(max_length = 200)]
    username: Option<String>,
    /// Whether calls are taken at all.
    enabled: bool,
    /// When somebody answers; always where it is null.
    #[schema(value_type = Option<OpeningHours>)]
    hours: Option<Value>,
    /// SIP headers that become attributes of the caller in the room, as `header.` and their name in lower case.
    #[schema(max_items = 50, value_type = Vec<Text<3, 64>>)]
    headers: Vec<String>,
    /// What LiveKit has of it.
    sync: Sync,
    /// Counts changes.
    #[schema(minimum = 1)]
    revision: i64,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
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
            hours: hours.map(shown),
            headers,
            sync: object.into(),
            revision,
            created_at,
            updated_at,
        }
    }
}

/// Stored hours in today's form. Those that cannot be read are shown as they are, never as always open;
/// calls are then refused.
fn shown(hours: Value) -> Value {
    let read = serde_json::from_value::<OpeningHours>(hours.clone());
    read.and_then(serde_json::to_value).unwrap_or(hours)
}

/// A mapping to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "number": "+49 30 123456", "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20", "variables": {"company": "Acme"},
    "allowed_addresses": ["203.0.113.0/24"]
}))]
pub struct CreateInboundMapping {
    /// A number that the operator has assigned to this tenant, and that has no mapping yet.
    pub number: PhoneNumber,
    /// Who answers.
    pub agent_id: AgentId,
    /// Who answers outside the opening hours; nobody by default. Its worker name must be the agent's.
    pub closed_agent_id: Option<AgentId>,
    /// Values of the prompt's variables.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub variables: Variables,
    /// Addresses and networks that calls may come from. They are needed unless a user name is given. A network has at least 16
    /// bits (`/16`), or 32 in IPv6; one that is not on the internet must be in one that the operator allows.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub allowed_addresses: Vec<Text<1, 64>>,
    /// User name that the carrier calls with; it needs a password.
    pub username: Option<OneLine<1, 200>>,
    /// Password that the carrier calls with. It is sealed, and never answered, logged or audited.
    #[schema(write_only)]
    pub password: Option<OneLine<1, 200>>,
    /// Whether calls are taken at all; they are by default.
    pub enabled: Option<bool>,
    /// When somebody answers; always by default.
    pub hours: Option<OpeningHours>,
    /// SIP headers, beginning with `X-`, that become attributes of the caller in the room.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub headers: Vec<Text<3, 64>>,
}

/// A change of a mapping. Its number stays; make another mapping for another number.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"enabled": false}))]
pub struct PatchInboundMapping {
    /// Who answers.
    #[serde(default)]
    agent_id: Patch<AgentId>,
    /// Who answers outside the opening hours; null for nobody.
    #[serde(default)]
    closed_agent_id: Patch<Option<AgentId>>,
    /// Values of the prompt's variables, all of them.
    #[serde(default)]
    #[schema(value_type = Object)]
    variables: Patch<Variables>,
    /// Addresses and networks that calls may come from: none larger than `/16`, or `/32` in IPv6.
    #[serde(default)]
    #[schema(max_items = 50)]
    allowed_addresses: Patch<Vec<Text<1, 64>>>,
    /// User name that the carrier calls with; null takes it and the password away.
    #[serde(default)]
    username: Patch<Option<OneLine<1, 200>>>,
    /// Password that the carrier calls with.
    #[serde(default)]
    #[schema(write_only)]
    password: Patch<OneLine<1, 200>>,
    /// Whether calls are taken at all.
    #[serde(default)]
    enabled: Patch<bool>,
    /// When somebody answers; null for always.
    #[serde(default)]
    hours: Patch<Option<OpeningHours>>,
    /// SIP headers that become attributes of the caller in the room.
    #[serde(default)]
    #[schema(max_items = 50)]
    headers: Patch<Vec<Text<3, 64>>>,
}

impl PatchInboundMapping {
    /// Changes the row; answers the new password, if there is one.
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

/// Which mappings are wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InboundMappingFilter {
    /// Only the mapping of this number.
    pub number: Option<PhoneNumber>,
    /// Only mappings of this agent.
    pub agent_id: Option<AgentId>,
    /// Only mappings that are enabled, or are not: `true` or `false`.
    #[schema(max_length = 5)]
    pub enabled: Option<String>,
}

/// A call in, as the worker sees it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"room_name": "dev-in-0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fc0_+4930654321_x7k2"}))]
pub struct ClaimCall {
    /// Name of the room that the worker was sent to.
    pub room_name: OneLine<1, 250>,
}

/// What a call in has become.
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
    /// The session.
    pub session_id: SessionId,
    /// The run of the agent that LiveKit has sent.
    pub agent_run_id: AgentRunId,
    /// The call.
    pub call_id: CallId,
    /// What the agent is to run.
    pub config: AgentRunConfig,
}

impl Resource for Claim {}

/// A number to be tried.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"number": "+49 30 123456"}))]
pub struct ResolveNumber {
    /// The number that is called.
    pub number: PhoneNumber,
    /// When; now by default.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    pub at: Option<DateTime<Utc>>,
}

/// What would happen to a call.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "number": "+4930123456", "at": "2026-11-23T20:00:00Z", "taken": true, "reason": null, "detail": null,
    "mapping_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fc0", "is_open": true,
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20", "binding_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f40"
}))]
pub struct Resolution {
    /// The number, in E.164.
    #[schema(max_length = 16)]
    pub number: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Whether it would be taken.
    pub taken: bool,
    /// Why not: `number_not_assigned`, `no_mapping`, `mapping_disabled`, `closed`, `no_active_binding`, `not_synced`. New ones may
    /// appear.
    #[schema(max_length = 64)]
    pub reason: Option<String>,
    /// The same in words.
    #[schema(max_length = 1000)]
    pub detail: Option<String>,
    /// The rule that decides.
    pub mapping_id: Option<MappingId>,
    /// Whether it is within the opening hours.
    pub is_open: Option<bool>,
    /// Who would answer.
    pub agent_id: Option<AgentId>,
    /// With which binding.
    pub binding_id: Option<BindingId>,
}

impl Resource for Resolution {}

impl From<resolve::Resolution> for Resolution {
    fn from(found: resolve::Resolution) -> Self {
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
        } = found;
        Self {
            number,
            at,
            taken,
            reason,
            detail,
            mapping_id,
            is_open,
            agent_id,
            binding_id,
        }
    }
}
