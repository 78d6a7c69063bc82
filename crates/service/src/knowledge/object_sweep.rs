//! The periodic job that compares the object store with the database.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt as _;
use patchbay_domain::{ObjectId, TenantId};
use patchbay_persistence::{VerifiedTenant, objects, tenants};
use patchbay_storage::Store;
use uuid::Uuid;

use super::objects::object_key;
use crate::{Result, Service, jobs::error::JobError};

/// Number of keys that are compared with the database together.
const PAGE: usize = 500;

/// Deletes objects without a record, and logs records without an object.
pub async fn sweep(service: &Service) -> std::result::Result<(), JobError> {
    let Some(store) = &service.store else {
        return Ok(());
    };
    // Newer objects may not be recorded yet.
    let min_age = service.settings.knowledge.upload_timeout;
    let mut present: HashMap<TenantId, HashSet<Uuid>> = HashMap::new();
    let mut pages = store.list(&service.settings.env).try_chunks(PAGE);
    while let Some(page) = pages.try_next().await.map_err(|chunk| chunk.1)? {
        let mut of_tenant: HashMap<TenantId, Vec<Uuid>> = HashMap::new();
        for found in page {
            let mut parts = found.key.split('/').skip(1);
            let parts = parts.next().zip(parts.next()).and_then(|(tenant, id)| {
                Some((tenant.parse::<TenantId>().ok()?, id.parse::<Uuid>().ok()?))
            });
            // Keys of another format are not Patchbay's.
            let Some((tenant, id)) = parts else { continue };
            present.entry(tenant).or_default().insert(id);
            if found.age > min_age {
                of_tenant.entry(tenant).or_default().push(id);
            }
        }
        for (tenant, ids) in of_tenant {
            delete_orphans(service, store, tenant, &ids).await?;
        }
    }
    Ok(log_missing(service, &present).await?)
}

async fn delete_orphans(
    service: &Service,
    store: &Store,
    tenant: TenantId,
    ids: &[Uuid],
) -> Result<()> {
    let mut tx = service.db.begin(tenant).await?;
    let recorded: HashSet<Uuid> = objects::existing(&mut tx, ids).await?.into_iter().collect();
    let verified = tx.verify_tenant().await?;
    tx.finish();
    for id in ids.iter().filter(|id| !recorded.contains(id)) {
        tracing::warn!(%tenant, object = %id, "deleting an object without a record");
        delete_orphan(service, store, verified, ObjectId::new(*id)).await?;
    }
    Ok(())
}

/// Deletes an object without a record.
async fn delete_orphan(
    service: &Service,
    store: &Store,
    verified: VerifiedTenant,
    id: ObjectId,
) -> Result<()> {
    Ok(store
        .delete(&object_key(service, verified.tenant(), id))
        .await?)
}

async fn log_missing(service: &Service, present: &HashMap<TenantId, HashSet<Uuid>>) -> Result<()> {
    let no_objects = HashSet::new();
    // Newer objects may have been stored after the store was listed.
    let stored_before = service.clock.now() - service.settings.knowledge.upload_timeout * 2;
    let mut page = tenants::page_after(&service.db, TenantId::new(Uuid::nil())).await?;
    while let Some(last) = page.last().copied() {
        for tenant in page {
            let present = present.get(&tenant).unwrap_or(&no_objects);
            let mut after = Uuid::nil();
            loop {
                let mut tx = service.db.begin(tenant).await?;
                let stored = objects::stored_after(&mut tx, after, stored_before).await?;
                tx.finish();
                let Some(newest) = stored.last() else { break };
                after = *newest;
                for id in stored.iter().filter(|id| !present.contains(id)) {
                    tracing::error!(%tenant, object = %id, "a recorded object is missing in the store");
                }
            }
        }
        page = tenants::page_after(&service.db, last).await?;
    }
    Ok(())
}
