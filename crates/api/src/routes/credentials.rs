//! A change of a user name and its password: those of trunks and of mappings.

use patchbay_domain::text::OneLine;
use patchbay_service::{Result, telephony::credentials::require_both};

use crate::extract::Patch;

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
