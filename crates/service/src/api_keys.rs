//! API keys of a tenant. A key never has more scopes or a later expiry than the key that creates it.

use chrono::{DateTime, SecondsFormat, Utc};
use patchbay_domain::{Clock, Invalid, Scope, TenantId, api_key, scope::Preset};
use patchbay_persistence::{
    api_keys::{self, ApiKey},
    tenants,
};
use rand::TryRngCore as _;

use crate::{Actor, Code, Error, Origin, Result, UnitOfWork};

/// Valid keys of a tenant beyond which keys cannot create further ones, so that revoking a key with all its
/// descendants stays fast.
const MAX_VALID_KEYS: i64 = 1000;

/// A generated key with its hash.
pub struct Generated {
    /// The key in plain text, which is not stored.
    pub token: String,
    /// Hash of the key, which is stored.
    pub hash: [u8; 32],
}

/// Generates a random key.
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
        .expect("the operating system's random number generator failed");
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

/// Makes a new key the child of the key that creates it; a key created by the operator has no parent. Fails if
/// the parent has been revoked in the meantime. The lock keeps the parent from being revoked until the child is
/// stored, so that the child is revoked with it.
pub async fn assign_parent(unit: &mut UnitOfWork, mut row: ApiKey) -> Result<ApiKey> {
    tenants::lock_counts(unit).await?;
    if tenants::find(unit).await?.is_none() {
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
        let message =
            "there are too many generations of keys; create it with a key of an earlier generation";
        return Err(Error::invalid_at("", Invalid::new("too_deep", message)));
    }
    if api_keys::count_live(unit, now).await? >= MAX_VALID_KEYS {
        let detail = format!("At most {MAX_VALID_KEYS} valid keys are allowed. Revoke some first.");
        return Err(Error::new(Code::KeyLimitReached, detail));
    }
    row.parent_key_id = Some(parent);
    row.expires_at = child_expiry(row.expires_at, ancestry.expires_at)?;
    Ok(row)
}

/// Expiry of a child key: the requested one, or else the parent's. Fails if the requested one is later than the
/// parent's.
fn child_expiry(
    requested: Option<DateTime<Utc>>,
    parent: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>> {
    match (requested, parent) {
        (Some(requested), Some(parent)) if requested > parent => {
            let message = format!(
                "the parent key expires at {}",
                parent.to_rfc3339_opts(SecondsFormat::AutoSi, true)
            );
            let invalid = Invalid::new("later_than_parent", message);
            Err(Error::invalid_at("/expires_at", invalid))
        }
        (requested, parent) => Ok(requested.or(parent)),
    }
}

/// Returns the scopes of a new key, sorted and without duplicates. Fails if the caller lacks one of them.
pub fn granted_scopes(
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
        let invalid = Invalid::new(
            "unknown_scope",
            "`operator` cannot be granted to a tenant's key",
        );
        return Err(Error::invalid_at("/scopes", invalid));
    }
    let lacking = scopes.iter().find(|scope| !held.contains(scope));
    match lacking {
        Some(scope) if origin.actor != Actor::Operator => {
            let detail = format!("The calling key lacks the scope `{scope}` and cannot grant it.");
            Err(Error::new(Code::MissingScope, detail))
        }
        _ => Ok(scopes),
    }
}

/// Rejects an expiry that is not in the future.
pub fn check_expiry(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<()> {
    if expires_at.is_some_and(|at| at <= now) {
        let invalid = Invalid::new("in_the_past", "the time must be in the future");
        return Err(Error::invalid_at("/expires_at", invalid));
    }
    Ok(())
}
