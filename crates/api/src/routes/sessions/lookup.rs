//! Check that a session exists.

use patchbay_domain::SessionId;
use patchbay_persistence::{TenantTx, sessions};
use patchbay_service::{Error, Result};

/// Fails with 404 if the session does not exist.
pub(super) async fn require(tx: &mut TenantTx, id: SessionId) -> Result<()> {
    let found = sessions::find(tx, id).await?;
    found.map(drop).ok_or_else(Error::not_found)
}
