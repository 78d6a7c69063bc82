//! Named secrets of a tenant, which its tools use.

use patchbay_domain::{
    Clock, Invalid, TenantId,
    text::{Text, is_identifier},
};
use patchbay_persistence::secrets;

use crate::{Error, Result, keyring::Sealed};

/// Maximum number of hosts of one secret.
const MAX_HOSTS: usize = 20;

/// Validates hosts and returns them in the normalised form that is compared with the hosts of requests.
pub fn validate_hosts(hosts: Vec<Text<1, 253>>) -> Result<Vec<String>> {
    if !(1..=MAX_HOSTS).contains(&hosts.len()) {
        let message = format!("1 to {MAX_HOSTS} hosts are allowed");
        return Err(Error::invalid_at(
            "/hosts",
            Invalid::new("out_of_range", message),
        ));
    }
    let check = |(index, host): (usize, Text<1, 253>)| match url::Host::parse(&host) {
        Ok(parsed) if !host.contains('*') => Ok(parsed.to_string()),
        _ => {
            let invalid = Invalid::new(
                "invalid_host",
                "a host name without scheme, port and wildcards is required",
            );
            Err(Error::invalid_at(&format!("/hosts/{index}"), invalid))
        }
    };
    hosts.into_iter().enumerate().map(check).collect()
}

/// Rejects a name that a template cannot refer to.
pub fn check_name(name: &str) -> Result<()> {
    if is_identifier(name) {
        return Ok(());
    }
    let message =
        "at most 64 letters, digits and `_` are allowed, and the first must not be a digit";
    let invalid = Invalid::new("invalid_name", message);
    Err(Error::invalid_at("", invalid))
}

/// Builds the row that creates a secret or replaces the previous one.
pub fn build_secret_row(
    clock: &Clock,
    before: Option<&secrets::Secret>,
    (tenant_id, name, hosts): (TenantId, String, Vec<String>),
    Sealed { key, nonce, sealed }: Sealed,
) -> secrets::Secret {
    let now = clock.now();
    secrets::Secret {
        tenant_id,
        id: before.map_or_else(|| clock.new_id(), |row| row.id),
        name,
        hosts,
        sealing_key: key,
        nonce,
        sealed,
        revision: before.map_or(1, |row| row.revision + 1),
        created_at: before.map_or(now, |row| row.created_at),
        updated_at: now,
        owner_id: None,
    }
}
