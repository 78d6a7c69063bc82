//! Updates of user names and passwords of SIP trunks and inbound mappings.

use patchbay_domain::text::OneLine;
use patchbay_service::{Result, telephony::credentials::require_both};

use crate::extract::Patch;

/// Updates the stored user name and returns the new password, if one is given. Fails if there would be a user name
/// without a password, or a password without a user name.
pub fn apply(
    username: Patch<Option<OneLine<1, 200>>>,
    password: Patch<OneLine<1, 200>>,
    stored: &mut Option<String>,
) -> Result<Option<OneLine<1, 200>>> {
    let had_username = stored.is_some();
    username.apply(stored, |name| name.map(OneLine::into_inner));
    let password = match password {
        Patch::To(password) => Some(password),
        Patch::Absent => None,
    };
    let keeps_password = had_username && stored.is_some();
    require_both(stored.is_some(), password.is_some() || keeps_password)?;
    Ok(password)
}
