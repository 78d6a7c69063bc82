//! Inbound mappings: whom they are dispatched to, and how they are deleted.

use patchbay_domain::{AgentId, Invalid, MappingId, states::SipObjectKind};
use patchbay_persistence::{TenantTx, agents, idempotency, inbound_mappings, secrets};

use super::sip_object::request_sync;
use crate::{Error, Result, Service};

/// Deletes a mapping, and has LiveKit forget it.
pub async fn delete(service: &Service, tx: &mut TenantTx, id: MappingId) -> Result<()> {
    secrets::delete_owned(tx, id.uuid()).await?;
    inbound_mappings::delete(tx, id).await?;
    let path = format!("/api/tenants/{}/inbound-mappings/{id}", tx.tenant());
    idempotency::clear_own_data(tx, &path, "variables").await?;
    request_sync(service, tx, id.uuid(), SipObjectKind::Mapping).await?;
    Ok(())
}

/// The worker name that both agents of a mapping are dispatched to.
pub async fn shared_worker(
    tx: &mut TenantTx,
    agent: AgentId,
    closed: Option<AgentId>,
) -> Result<String> {
    let main = agents::hold(tx, agent).await?;
    let main = main.ok_or_else(Error::not_found)?.worker_name;
    if let Some(closed) = closed {
        let other = agents::hold(tx, closed).await?;
        let other = other.ok_or_else(Error::not_found)?.worker_name;
        if other != main {
            let message = format!("its worker name must be `{main}`, as the agent's is");
            let invalid = Invalid::new("other_worker_name", message);
            return Err(Error::invalid_at("/closed_agent_id", invalid));
        }
    }
    Ok(main)
}
