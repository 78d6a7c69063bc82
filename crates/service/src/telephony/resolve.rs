//! A dry run of a call in: who would answer.

use chrono::{DateTime, Utc};
use patchbay_domain::{AgentId, BindingId, MappingId};
use patchbay_persistence::{
    TenantTx, agents,
    inbound_mappings::{self as mappings, Mapping},
    numbers,
};

use super::answering::answering;
use crate::Result;

/// What would become of a call.
pub struct Resolution {
    /// The number that is called.
    pub number: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Whether it would be taken.
    pub taken: bool,
    /// Why it would not.
    pub reason: Option<String>,
    /// The same in words.
    pub detail: Option<String>,
    /// The mapping of the number.
    pub mapping_id: Option<MappingId>,
    /// Whether it is within the opening hours.
    pub is_open: Option<bool>,
    /// Who would answer.
    pub agent_id: Option<AgentId>,
    /// The binding that would run.
    pub binding_id: Option<BindingId>,
}

impl Resolution {
    /// Nobody would answer, for this reason.
    fn refused(self, reason: &str, detail: impl Into<String>) -> Self {
        Self {
            taken: false,
            reason: Some(reason.to_owned()),
            detail: Some(detail.into()),
            ..self
        }
    }
}

/// Decides what would become of a call to this number at this time.
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
        Some(mapping) => who_answers(tx, found, mapping).await,
        None => Ok(found.refused("no_mapping", "The number has no mapping.")),
    }
}

async fn who_answers(
    tx: &mut TenantTx,
    mut found: Resolution,
    mapping: Mapping,
) -> Result<Resolution> {
    found.mapping_id = Some(mapping.id);
    let answering = match answering(&mapping, found.at) {
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
        let detail = "LiveKit has not got the mapping yet: look at its `sync`.";
        return Ok(found.refused("not_synced", detail));
    }
    Ok(found)
}
