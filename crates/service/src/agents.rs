//! Agents: what keeps one from being deleted.

use patchbay_domain::AgentId;
use patchbay_persistence::{TenantTx, agents, inbound_mappings};

use crate::{Blocker, Code, Error, Result};

/// Fails with `agent_in_use` if a session that is not over, or an inbound mapping, needs the locked agent.
pub async fn require_unused(tx: &mut TenantTx, id: AgentId) -> Result<()> {
    let sessions = agents::live_sessions(tx, id).await?.into_iter();
    let sessions = sessions.map(|session| Blocker::unnamed("session", session.uuid()));
    let detail = "The agent has active sessions. Stop them first, or wait until they have ended.";
    Error::require_unblocked(Code::AgentInUse, detail, sessions)?;
    let detail = "Inbound mappings use the agent. Change or delete them first.";
    require_unmapped(tx, id, detail).await
}

/// Fails with `agent_in_use` and this detail if an inbound mapping uses the agent.
pub async fn require_unmapped(tx: &mut TenantTx, id: AgentId, detail: &str) -> Result<()> {
    let mappings = inbound_mappings::naming(tx, id).await?.into_iter();
    let mappings = mappings.map(|(mapping, number)| Blocker {
        name: Some(number),
        agent_id: Some(id),
        ..Blocker::unnamed("inbound_mapping", mapping.uuid())
    });
    Error::require_unblocked(Code::AgentInUse, detail, mappings)
}
