//! SIP credentials of trunks and mappings.

use patchbay_domain::{Invalid, text::OneLine};
use patchbay_persistence::{TenantTx, secrets};
use uuid::Uuid;

use crate::{Error, Result, Service, secrets::store_owned};

/// Requires that user name and password are given together.
pub fn require_both(username: bool, password: bool) -> Result<()> {
    let (missing, message) = match (username, password) {
        (true, false) => ("/password", "a password is needed with a user name"),
        (false, true) => ("/username", "a user name is needed with a password"),
        _ => return Ok(()),
    };
    let invalid = Invalid::new("missing_field", message);
    Err(Error::invalid_at(missing, invalid))
}

/// Stores a new password, or deletes the stored one if there is no user name.
pub async fn store(
    service: &Service,
    tx: &mut TenantTx,
    owner: Uuid,
    username: Option<&str>,
    password: Option<OneLine<1, 200>>,
) -> Result<()> {
    if let Some(password) = password {
        store_owned(service, tx, owner, &password).await?;
    }
    if username.is_none() {
        secrets::delete_owned(tx, owner).await?;
    }
    Ok(())
}
