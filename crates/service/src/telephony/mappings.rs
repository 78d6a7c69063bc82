//! Inbound mappings: validation and deletion.

use patchbay_domain::{
    AgentId, Invalid, MappingId, hours::OpeningHours, states::SipObjectKind, text::Text,
};
use patchbay_persistence::{TenantTx, agents, idempotency, inbound_mappings, secrets};
use serde_json::Value;

use super::{origins, sip_object::request_sync};
use crate::{Error, Result, Service};

/// Deletes a mapping, and requests its deletion in LiveKit.
pub async fn delete(service: &Service, tx: &mut TenantTx, id: MappingId) -> Result<()> {
    secrets::delete_owned(tx, id.uuid()).await?;
    inbound_mappings::delete(tx, id).await?;
    let path = format!("/api/tenants/{}/inbound-mappings/{id}", tx.tenant());
    idempotency::clear_own_data(tx, &path, "variables").await?;
    request_sync(service, tx, id.uuid(), SipObjectKind::Mapping).await?;
    Ok(())
}

/// Returns the worker name of both agents of a mapping, which must be the same.
pub async fn shared_worker(
    tx: &mut TenantTx,
    agent: AgentId,
    closed: Option<AgentId>,
) -> Result<String> {
    let main = agents::lock_shared(tx, agent).await?;
    let main = main
        .ok_or_else(|| Error::unknown_reference("/agent_id"))?
        .worker_name;
    if let Some(closed) = closed {
        let other = agents::lock_shared(tx, closed).await?;
        let other = other
            .ok_or_else(|| Error::unknown_reference("/closed_agent_id"))?
            .worker_name;
        if other != main {
            let message = format!("its worker name must be `{main}`, as the agent's is");
            let invalid = Invalid::new("other_worker_name", message);
            return Err(Error::invalid_at("/closed_agent_id", invalid));
        }
    }
    Ok(main)
}

/// Checks opening hours and serialises them.
pub fn checked_hours(hours: Option<OpeningHours>) -> Result<Option<Value>> {
    let Some(hours) = hours else { return Ok(None) };
    let found = hours.check();
    found.map_err(|found| Error::invalid_within("/hours", found))?;
    serde_json::to_value(hours)
        .map(Some)
        .map_err(Error::internal)
}

/// Checks names of SIP headers, which must begin with `X-`.
pub fn checked_headers(headers: Vec<Text<3, 64>>) -> Result<Vec<String>> {
    origins::check_count("/headers", headers.len())?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    for (index, header) in headers.iter().enumerate() {
        let is_extension = header
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("x-"));
        if !is_extension || !header.chars().all(is_allowed) {
            let message = "a name that begins with `X-` is needed";
            let invalid = Invalid::new("invalid_header", message);
            return Err(Error::invalid_at(&format!("/headers/{index}"), invalid));
        }
    }
    Ok(headers.into_iter().map(Text::into_inner).collect())
}

/// Requires addresses or a user name, without which anyone could call.
pub fn require_origin(addresses: &[String], username: bool) -> Result<()> {
    if username || !addresses.is_empty() {
        return Ok(());
    }
    let message = "addresses, or a user name and password, are needed; otherwise anyone could call";
    let invalid = Invalid::new("missing_field", message);
    Err(Error::invalid_at("/allowed_addresses", invalid))
}
