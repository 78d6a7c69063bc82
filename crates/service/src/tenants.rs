//! Tenants: creation, and validation of their settings and limits.

use patchbay_domain::{
    Clock, Metadata, knowledge,
    phone::normalise_prefix,
    retention::{Retention, SETTING},
    scope::Preset,
};
use patchbay_persistence::{TenantTx, api_keys, tenants};
use serde_json::Value;

use crate::{
    Error, Result,
    api_keys::{Generated, generate},
};

/// Name of the API key that is created with a tenant.
const FIRST_KEY: &str = "first admin key";

/// Inserts a tenant with its first API key, and returns the key with its secret.
pub async fn insert_with_admin_key(
    clock: &Clock,
    tx: &mut TenantTx,
    tenant: &tenants::Tenant,
) -> Result<(api_keys::ApiKey, Generated)> {
    let scopes = Preset::Admin.scopes();
    let (key, secret) = generate(clock, tenant.id, FIRST_KEY, scopes, None);
    tenants::insert(tx, tenant).await?;
    api_keys::insert(tx, &key, &secret.hash).await?;
    Ok((key, secret))
}

/// Validates the settings that the service itself reads. Other entries are custom and not restricted.
pub fn check_settings(settings: Metadata) -> Result<Value> {
    let settings = settings.value()?;
    let language = knowledge::language(&settings);
    language.map_err(|invalid| Error::invalid_at("/settings/search_language", invalid))?;
    if let Err((kind, invalid)) = Retention::of_settings(&settings) {
        let kind = kind.map(|kind| format!("/{kind}")).unwrap_or_default();
        return Err(Error::invalid_at(
            &format!("/settings/{SETTING}{kind}"),
            invalid,
        ));
    }
    Ok(settings)
}

/// Normalises number prefixes to the form of stored numbers. Invalid prefixes stay unchanged, and fail validation
/// later.
pub fn normalise_prefixes(prefixes: Vec<String>) -> Vec<String> {
    let normalise = |prefix: String| normalise_prefix(&prefix).unwrap_or(prefix);
    prefixes.into_iter().map(normalise).collect()
}
