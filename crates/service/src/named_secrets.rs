//! Secrets that a tenant keeps by name, for its tools.

use patchbay_domain::{
    Clock, Invalid, TenantId,
    text::{Text, is_identifier},
};
use patchbay_persistence::secrets;

use crate::{Error, Result, keyring::Sealed};

/// Most hosts of one secret.
const MOST_HOSTS: usize = 20;

/// Hosts, as requests are compared with them.
pub fn checked_hosts(hosts: Vec<Text<1, 253>>) -> Result<Vec<String>> {
    if !(1..=MOST_HOSTS).contains(&hosts.len()) {
        let message = format!("1 to {MOST_HOSTS} hosts are allowed");
        return Err(Error::invalid_at(
            "/hosts",
            Invalid::new("out_of_range", message),
        ));
    }
    let check = |(index, host): (usize, Text<1, 253>)| match url::Host::parse(&host) {
        Ok(parsed) if !host.contains('*') => Ok(parsed.to_string()),
        _ => {
            let invalid = Invalid::new("invalid_host", "a bare host name is needed");
            Err(Error::invalid_at(&format!("/hosts/{index}"), invalid))
        }
    };
    hosts.into_iter().enumerate().map(check).collect()
}

/// Refuses a name that no template could use.
pub fn check_name(name: &str) -> Result<()> {
    if is_identifier(name) {
        return Ok(());
    }
    let message = "letters, digits and `_`, at most 64, not beginning with a digit";
    let invalid = Invalid::new("invalid_name", message);
    Err(Error::invalid_at("", invalid))
}

/// The row as it will be, in the place of the one before.
pub fn replaced(
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
