//! Erases a session and the personal data derived from it.

use patchbay_domain::{SessionId, call::Direction};
use patchbay_persistence::{TenantTx, calls, idempotency, sessions, usage, webhook_events};

use crate::Result;

/// Erases a session that is over. Its calls are kept with their reasons and times, but without phone numbers.
pub async fn erase(tx: &mut TenantTx, id: SessionId) -> Result<()> {
    let tenant = tx.tenant();
    let calls = calls::of_session(tx, id).await?;
    let is_inbound = |call: &calls::Call| call.direction == Direction::Inbound;
    if calls.iter().any(is_inbound) {
        webhook_events::hide_rooms(tx, id).await?;
    }
    calls::erase_people(tx, id).await?;
    usage::forget_reports(tx, id).await?;
    sessions::delete(tx, id).await?;
    idempotency::erase(tx, &format!("/api/tenants/{tenant}/sessions/{id}")).await?;
    for call in calls {
        let path = format!("/api/tenants/{tenant}/calls/{}", call.id);
        idempotency::erase(tx, &path).await?;
    }
    Ok(())
}
