//! Checks of the database role. A role that bypasses row-level security lacks the second barrier between tenants.

use std::time::Duration;

use patchbay_persistence::migrations::APPLICATION_ROLE;

use crate::Service;

/// Fails if the role bypasses row-level security, or the database is not reachable.
pub async fn require_confined(service: &Service) -> anyhow::Result<()> {
    match service.db.bypassing_role().await? {
        Some(role) => anyhow::bail!(bypass_message(&role)),
        None => Ok(()),
    }
}

/// Fails if the role bypasses row-level security and this is not allowed. Returns false if the database is not
/// reachable yet.
pub async fn reject_bypassing(service: &Service, allow: bool) -> anyhow::Result<bool> {
    match service.db.bypassing_role().await {
        Ok(Some(role)) if allow => {
            tracing::warn!(
                role,
                "ROW-LEVEL SECURITY IS BYPASSED by this role: development only"
            );
            Ok(true)
        }
        Ok(Some(role)) => anyhow::bail!(bypass_message(&role)),
        Ok(None) => Ok(true),
        // Readiness reports it; the service waits for its database instead of exiting.
        Err(error) => {
            tracing::warn!(%error, "the database is not reachable yet");
            Ok(false)
        }
    }
}

/// Repeats the check until the database is reachable. Resolves, with the error message, only if the role bypasses
/// row-level security.
pub async fn wait_for_bypassing(service: &Service, allow: bool) -> String {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        match service.db.bypassing_role().await {
            Ok(Some(role)) if !allow => return bypass_message(&role),
            Ok(_) => std::future::pending().await,
            Err(_) => {}
        }
    }
}

fn bypass_message(role: &str) -> String {
    format!(
        "DATABASE_URL: the role {role} bypasses row-level security; use a member of {APPLICATION_ROLE}"
    )
}
