//! The periodic job that compares the object store with what is recorded.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt as _;
use patchbay_domain::{ObjectId, TenantId};
use patchbay_persistence::{VerifiedTenant, objects, tenants};
use patchbay_storage::Store;
use uuid::Uuid;

use super::objects::key;
use crate::{Result, Service, jobs::error::JobError};

/// Keys that are compared with the database at a time.
const PAGE: usize = 500;

/// Looks for objects that nobody has recorded, and deletes them; and for records without an object,
/// which the log then names.
pub async fn sweep(service: &Service) -> std::result::Result<(), JobError> {
    let Some(store) = &service.store else {
        return Ok(());
    };
    // What was written a moment ago may be recorded a moment later.
    let settled = service.settings.knowledge.upload_timeout;
    let mut present: HashMap<TenantId, HashSet<Uuid>> = HashMap::new();
    let mut pages = store.list(&service.settings.env).try_chunks(PAGE);
    while let Some(page) = pages.try_next().await.map_err(|chunk| chunk.1)? {
        let mut of_tenant: HashMap<TenantId, Vec<Uuid>> = HashMap::new();
        for found in page {
            let mut parts = found.key.split('/').skip(1);
            let parts = parts.next().zip(parts.next()).and_then(|(tenant, id)| {
                Some((tenant.parse::<TenantId>().ok()?, id.parse::<Uuid>().ok()?))
            });
            // Somebody else's.
            let Some((tenant, id)) = parts else { continue };
            present.entry(tenant).or_default().insert(id);
            if found.age > settled {
                of_tenant.entry(tenant).or_default().push(id);
            }
        }
        for (tenant, ids) in of_tenant {
            delete_unknown(service, store, tenant, &ids).await?;
        }
    }
    Ok(report_lost(service, &present).await?)
}

async fn delete_unknown(
    service: &Service,
    store: &Store,
    tenant: TenantId,
    ids: &[Uuid],
) -> Result<()> {
    let mut tx = service.db.begin(tenant).await?;
    let known: HashSet<Uuid> = objects::known(&mut tx, ids).await?.into_iter().collect();
    let verified = tx.verify_tenant().await?;
    tx.finish();
    for id in ids.iter().filter(|id| !known.contains(id)) {
        tracing::warn!(%tenant, object = %id, "deleting an object that nobody has recorded");
        delete_unrecorded(service, store, verified, ObjectId::new(*id)).await?;
    }
    Ok(())
}

/// Deletes an object of which there is no row.
async fn delete_unrecorded(
    service: &Service,
    store: &Store,
    verified: VerifiedTenant,
    id: ObjectId,
) -> Result<()> {
    Ok(store.delete(&key(service, verified.tenant(), id)).await?)
}

async fn report_lost(service: &Service, present: &HashMap<TenantId, HashSet<Uuid>>) -> Result<()> {
    let nothing = HashSet::new();
    // One that has come since the store was listed is not lost.
    let settled = service.clock.now() - service.settings.knowledge.upload_timeout * 2;
    let mut page = tenants::page_after(&service.db, TenantId::new(Uuid::nil())).await?;
    while let Some(last) = page.last().copied() {
        for tenant in page {
            let there = present.get(&tenant).unwrap_or(&nothing);
            let mut after = Uuid::nil();
            loop {
                let mut tx = service.db.begin(tenant).await?;
                let stored = objects::stored_after(&mut tx, after, settled).await?;
                tx.finish();
                let Some(newest) = stored.last() else { break };
                after = *newest;
                for id in stored.iter().filter(|id| !there.contains(id)) {
                    tracing::error!(%tenant, object = %id, "an object is recorded, and not in the store");
                }
            }
        }
        page = tenants::page_after(&service.db, last).await?;
    }
    Ok(())
}
