//! A user name and its password, which come together: those of trunks and of mappings.

use patchbay_domain::{Invalid, text::OneLine};
use patchbay_persistence::{TenantTx, secrets};
use uuid::Uuid;

use crate::{
    app::App,
    error::{ApiError, Result},
    extract::Patch,
    flows::secrets::keep_owned,
};

/// Neither goes without the other.
pub fn require_both(username: bool, password: bool) -> Result<()> {
    let (missing, message) = match (username, password) {
        (true, false) => ("/password", "a user name needs one"),
        (false, true) => ("/username", "a password needs one"),
        _ => return Ok(()),
    };
    let invalid = Invalid::new("missing_field", message);
    Err(ApiError::invalid_at(missing, invalid))
}

/// Changes the user name that is stored; answers the new password, if there is one.
pub fn apply(
    username: Patch<Option<OneLine<1, 200>>>,
    password: Patch<OneLine<1, 200>>,
    stored: &mut Option<String>,
) -> Result<Option<OneLine<1, 200>>> {
    let had = stored.is_some();
    username.apply(stored, |name| name.map(OneLine::into_inner));
    let password = match password {
        Patch::To(password) => Some(password),
        Patch::Absent => None,
    };
    let keeps = had && stored.is_some();
    require_both(stored.is_some(), password.is_some() || keeps)?;
    Ok(password)
}

/// Keeps a new password, and none without a user name.
pub async fn store(
    app: &App,
    tx: &mut TenantTx,
    owner: Uuid,
    username: Option<&str>,
    password: Option<OneLine<1, 200>>,
) -> Result<()> {
    if let Some(password) = password {
        keep_owned(app, tx, owner, &password).await?;
    }
    if username.is_none() {
        secrets::delete_owned(tx, owner).await?;
    }
    Ok(())
}
