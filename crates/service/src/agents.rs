//! Agents: what keeps one from being deleted.

use patchbay_domain::AgentId;
use patchbay_persistence::{TenantTx, agents, inbound_mappings};

use crate::{Code, Error, Result};

/// Fails with `agent_in_use` if a session that is not over, or an inbound mapping, needs the locked agent.
pub async fn require_unused(tx: &mut TenantTx, id: AgentId) -> Result<()> {
    if agents::has_live_session(tx, id).await? {
        let detail =
            "The agent has active sessions. Stop them first, or wait until they have ended.";
        return Err(Error::new(Code::AgentInUse, detail));
    }
    if inbound_mappings::any_names(tx, id).await? {
        let detail = "Inbound mappings use the agent. Change or delete them first.";
        return Err(Error::new(Code::AgentInUse, detail));
    }
    Ok(())
}
