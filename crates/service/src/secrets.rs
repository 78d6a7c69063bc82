//! Secrets that belong to resources, and the rotation of sealing keys.

use patchbay_domain::TenantId;
use patchbay_persistence::{TenantTx, secrets, tenants};
use uuid::Uuid;

use crate::{Result, Service, keyring::Sealed};

/// Secrets that are re-sealed in one transaction.
const BATCH: i64 = 100;

/// Name under which a resource's secret is stored. It is not an identifier, so no template can refer to it.
fn owned_name(owner: Uuid) -> String {
    format!("of/{owner}")
}

/// Stores a secret that belongs to a resource.
pub async fn store_owned(
    service: &Service,
    tx: &mut TenantTx,
    owner: Uuid,
    value: &str,
) -> Result<()> {
    let name = owned_name(owner);
    let Sealed { key, nonce, sealed } = service.keyring.seal(tx.tenant(), &name, value)?;
    let now = service.clock.now();
    let row = secrets::Secret {
        tenant_id: tx.tenant(),
        id: service.clock.new_id(),
        name,
        hosts: Vec::new(),
        sealing_key: key,
        nonce,
        sealed,
        revision: 1,
        created_at: now,
        updated_at: now,
        owner_id: Some(owner),
    };
    Ok(secrets::save(tx, &row).await?)
}

/// Returns the secret that belongs to a resource in plain text, if there is one.
pub async fn find_owned(
    service: &Service,
    tx: &mut TenantTx,
    owner: Uuid,
) -> Result<Option<String>> {
    let Some(row) = secrets::find_owned(tx, owner).await? else {
        return Ok(None);
    };
    let sealed = Sealed {
        key: row.sealing_key,
        nonce: row.nonce,
        sealed: row.sealed,
    };
    Ok(Some(service.keyring.open(
        tx.tenant(),
        &row.name,
        &sealed,
    )?))
}

/// Re-seals all secrets with the first key of the ring, so that older keys can be removed from it; returns the
/// number of secrets re-sealed. It may be interrupted and run again, and then continues where it stopped.
pub async fn rotate(service: &Service) -> Result<usize> {
    let key = service.keyring.sealing_key()?;
    let first = TenantId::new(Uuid::nil());
    let (mut count, mut page) = (0, tenants::page_after(&service.db, first).await?);
    while let Some(last) = page.last().copied() {
        for tenant in page {
            count += rotate_tenant(service, tenant, key).await?;
        }
        page = tenants::page_after(&service.db, last).await?;
    }
    Ok(count)
}

async fn rotate_tenant(service: &Service, tenant: TenantId, key: &str) -> Result<usize> {
    let mut count = 0;
    loop {
        let mut tx = service.db.begin(tenant).await?;
        let done = rotate_batch(service, &mut tx, key).await?;
        tx.commit().await?;
        if done == 0 {
            return Ok(count);
        }
        count += done;
    }
}

async fn rotate_batch(service: &Service, tx: &mut TenantTx, key: &str) -> Result<usize> {
    let rows = secrets::sealed_otherwise(tx, key, BATCH).await?;
    let count = rows.len();
    for mut row in rows {
        let old = Sealed {
            key: row.sealing_key,
            nonce: row.nonce,
            sealed: row.sealed,
        };
        let value = service.keyring.open(row.tenant_id, &row.name, &old)?;
        let new = service.keyring.seal(row.tenant_id, &row.name, &value)?;
        (row.sealing_key, row.nonce, row.sealed) = (new.key, new.nonce, new.sealed);
        secrets::save(tx, &row).await?;
    }
    Ok(count)
}
