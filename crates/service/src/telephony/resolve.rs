//! Dry run of an inbound call.

use chrono::{DateTime, Utc};
use patchbay_domain::{AgentId, BindingId, MappingId};
use patchbay_persistence::{
    TenantTx, agents,
    inbound_mappings::{self as mappings, Mapping},
    numbers,
};

use super::answering::select_agent;
use crate::Result;

/// Result of a dry run.
pub struct Resolution {
    /// The called number.
    pub number: String,
    /// Time of the call.
    pub at: DateTime<Utc>,
    /// Whether an agent would answer.
    pub taken: bool,
    /// Error code, if no agent would answer.
    pub reason: Option<String>,
    /// Explanation of `reason`.
    pub detail: Option<String>,
    /// The mapping of the number.
    pub mapping_id: Option<MappingId>,
    /// Whether the mapping is within its opening hours.
    pub is_open: Option<bool>,
    /// The agent that would answer.
    pub agent_id: Option<AgentId>,
    /// The active binding of the agent.
    pub binding_id: Option<BindingId>,
}

impl Resolution {
    /// The same resolution, refused for this reason.
    fn refused(self, reason: &str, detail: impl Into<String>) -> Self {
        Self {
            taken: false,
            reason: Some(reason.to_owned()),
            detail: Some(detail.into()),
            ..self
        }
    }
}

/// Resolves a call to this number at this time.
pub async fn resolve(tx: &mut TenantTx, number: String, at: DateTime<Utc>) -> Result<Resolution> {
    let found = Resolution {
        number,
        at,
        taken: true,
        reason: None,
        detail: None,
        mapping_id: None,
        is_open: None,
        agent_id: None,
        binding_id: None,
    };
    if !numbers::is_assigned(tx, &found.number).await? {
        let detail = "The operator has not assigned the number to this tenant.";
        return Ok(found.refused("number_not_assigned", detail));
    }
    match mappings::of_number(tx, &found.number).await? {
        Some(mapping) => resolve_mapping(tx, found, mapping).await,
        None => Ok(found.refused("no_mapping", "The number has no mapping.")),
    }
}

async fn resolve_mapping(
    tx: &mut TenantTx,
    mut found: Resolution,
    mapping: Mapping,
) -> Result<Resolution> {
    found.mapping_id = Some(mapping.id);
    let answering = match select_agent(&mapping, found.at) {
        Ok(answering) => answering,
        Err(refusal) => {
            found.is_open = mapping.enabled.then_some(false);
            return Ok(found.refused(refusal.code.name(), refusal.detail));
        }
    };
    found.is_open = Some(answering.is_open);
    found.agent_id = Some(answering.agent_id);
    let agent = agents::find(tx, answering.agent_id).await?;
    found.binding_id = agent.and_then(|agent| agent.active_binding_id);
    if found.binding_id.is_none() {
        return Ok(found.refused("no_active_binding", "The agent has no active binding."));
    }
    let synced = mappings::find(tx, mapping.id).await?;
    if synced.is_some_and(|(_, object)| object.rule_sid.is_none()) {
        let detail = "LiveKit does not have the mapping yet; see its `sync`.";
        return Ok(found.refused("not_synced", detail));
    }
    Ok(found)
}
