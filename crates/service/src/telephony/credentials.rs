//! A user name and its password, which come together: those of trunks and of mappings.

use patchbay_domain::{Invalid, text::OneLine};
use patchbay_persistence::{TenantTx, secrets};
use uuid::Uuid;

use crate::{Error, Result, Service, secrets::keep_owned};

/// Neither goes without the other.
pub fn require_both(username: bool, password: bool) -> Result<()> {
    let (missing, message) = match (username, password) {
        (true, false) => ("/password", "a user name needs one"),
        (false, true) => ("/username", "a password needs one"),
        _ => return Ok(()),
    };
    let invalid = Invalid::new("missing_field", message);
    Err(Error::invalid_at(missing, invalid))
}

/// Keeps a new password, and none without a user name.
pub async fn store(
    service: &Service,
    tx: &mut TenantTx,
    owner: Uuid,
    username: Option<&str>,
    password: Option<OneLine<1, 200>>,
) -> Result<()> {
    if let Some(password) = password {
        keep_owned(service, tx, owner, &password).await?;
    }
    if username.is_none() {
        secrets::delete_owned(tx, owner).await?;
    }
    Ok(())
}
