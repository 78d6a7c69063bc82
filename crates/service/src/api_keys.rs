//! API keys of a tenant: made at random, and never more than the key that makes them.

use chrono::{DateTime, SecondsFormat, Utc};
use patchbay_domain::{Clock, Invalid, Scope, TenantId, api_key, scope::Preset};
use patchbay_persistence::{
    api_keys::{self, ApiKey},
    tenants,
};
use rand::TryRngCore as _;

use crate::{Actor, Code, Error, Origin, Result, UnitOfWork};

/// Good keys of a tenant beyond which keys make no more: revoking one, with all below it, stays quick.
const MOST_LIVE: i64 = 1000;

/// A key with the hash that is kept of it.
pub struct Generated {
    /// The key itself.
    pub token: String,
    /// What is stored.
    pub hash: [u8; 32],
}

/// A new random key.
pub fn generate(
    clock: &Clock,
    tenant: TenantId,
    name: &str,
    scopes: Vec<Scope>,
    expires_at: Option<DateTime<Utc>>,
) -> (ApiKey, Generated) {
    let mut secret = [0; 32];
    rand::rngs::OsRng
        .try_fill_bytes(&mut secret)
        .expect("the operating system has no randomness");
    let id = clock.new_id();
    let token = api_key::format(id, &secret);
    let row = ApiKey {
        tenant_id: tenant,
        id,
        name: name.to_owned(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        created_at: clock.now(),
        expires_at,
        revoked_at: None,
        last_used_at: None,
        parent_key_id: None,
    };
    let hash = api_key::hash(&token);
    (row, Generated { token, hash })
}

/// The new key as the child of the key that makes it; the operator's has no parent. The parent may have
/// been revoked just now, and cannot be until the child is there to be revoked with it.
pub async fn under_parent(unit: &mut UnitOfWork, mut row: ApiKey) -> Result<ApiKey> {
    if !tenants::hold(unit).await? {
        return Err(Error::not_found());
    }
    let Actor::Key(parent) = unit.origin().actor else {
        return Ok(row);
    };
    let now = unit.clock().now();
    let ancestry = api_keys::ancestry(unit, parent, now).await?;
    if !ancestry.is_valid {
        let detail = "The key is unknown, revoked or expired.";
        return Err(Error::new(Code::InvalidKey, detail));
    }
    if ancestry.generations >= api_keys::MOST_GENERATIONS {
        let message = "there are too many generations of keys: let an earlier one make it";
        return Err(Error::invalid_at("", Invalid::new("too_deep", message)));
    }
    if api_keys::count_live(unit, now).await? >= MOST_LIVE {
        let detail = format!("{MOST_LIVE} good keys are allowed. Revoke some first.");
        return Err(Error::new(Code::KeyLimitReached, detail));
    }
    row.parent_key_id = Some(parent);
    row.expires_at = within(row.expires_at, ancestry.expires_at)?;
    Ok(row)
}

/// When a child expires whose parent expires at `most`.
fn within(
    wanted: Option<DateTime<Utc>>,
    most: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>> {
    match (wanted, most) {
        (Some(wanted), Some(most)) if wanted > most => {
            let message = format!(
                "the key that makes it expires at {}",
                most.to_rfc3339_opts(SecondsFormat::AutoSi, true)
            );
            let invalid = Invalid::new("later_than_parent", message);
            Err(Error::invalid_at("/expires_at", invalid))
        }
        (wanted, most) => Ok(wanted.or(most)),
    }
}

/// The scopes of the new key, none of which the caller may lack.
pub fn granted(
    origin: &Origin,
    held: &[Scope],
    (scopes, preset): (&[Scope], Option<Preset>),
) -> Result<Vec<Scope>> {
    let preset = preset.map(Preset::scopes).unwrap_or_default();
    let mut scopes: Vec<_> = scopes.iter().copied().chain(preset).collect();
    scopes.sort();
    scopes.dedup();
    if scopes.is_empty() {
        let invalid = Invalid::new("missing_field", "give `scopes` or a `preset`");
        return Err(Error::invalid_at("/scopes", invalid));
    }
    if scopes.contains(&Scope::Operator) {
        let invalid = Invalid::new("unknown_scope", "`operator` is not a tenant's scope");
        return Err(Error::invalid_at("/scopes", invalid));
    }
    let lacking = scopes.iter().find(|scope| !held.contains(scope));
    match lacking {
        Some(scope) if origin.actor != Actor::Operator => {
            let detail = format!("You do not hold `{scope}` and so cannot grant it.");
            Err(Error::new(Code::MissingScope, detail))
        }
        _ => Ok(scopes),
    }
}

/// Refuses a key that would be expired at once.
pub fn check_expiry(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<()> {
    if expires_at.is_some_and(|at| at <= now) {
        let invalid = Invalid::new("in_the_past", "the key would be expired at once");
        return Err(Error::invalid_at("/expires_at", invalid));
    }
    Ok(())
}
