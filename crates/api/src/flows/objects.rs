//! The job of an object in the store: what is recorded of it is made true there.
//!
//! An object is recorded before its first byte is written, and it is recorded as doomed before it is
//! deleted; whatever is interrupted between is finished by this job.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use patchbay_domain::{ObjectId, TenantId};
use patchbay_persistence::{TenantTx, jobs, objects, tenants};
use patchbay_storage::Store;
use uuid::Uuid;

use super::sync::crash_here;
use crate::{
    app::App,
    error::{ApiError, Code, Result},
};

/// Keys that are compared with the database at a time.
const PAGE: usize = 500;

/// Where an object is in the store.
pub fn key(tenant: TenantId, id: ObjectId) -> String {
    format!("{tenant}/{id}")
}

/// The store, if there is one.
pub fn store(app: &App) -> Result<&Store> {
    app.store.as_ref().ok_or_else(|| {
        let detail =
            "The operator must set PATCHBAY_STORAGE_DIRECTORY or PATCHBAY_S3_BUCKET first.";
        ApiError::new(Code::StorageNotConfigured, detail)
    })
}

/// Until when an upload that began at `at` may still be under way.
pub fn gives_up_at(app: &App, at: DateTime<Utc>) -> DateTime<Utc> {
    at + app.settings.knowledge.upload_timeout.delta() * 2
}

/// Has the object deleted.
pub async fn doom(app: &App, tx: &mut TenantTx, id: ObjectId) -> Result<()> {
    objects::doom(tx, id).await?;
    let (tenant, now) = (tx.tenant(), app.clock.now());
    Ok(jobs::enqueue(tx, jobs::OBJECT, id.uuid(), Some(tenant), now).await?)
}

/// Runs the job; answers when it is due again, if ever.
pub async fn settle(app: &App, tenant: TenantId, id: ObjectId) -> Result<Option<DateTime<Utc>>> {
    let mut tx = app.db.begin(tenant).await?;
    let Some(object) = objects::find(&mut tx, id).await? else {
        return Ok(None);
    };
    let end = gives_up_at(app, object.created_at);
    match &*object.state {
        objects::STORED => return Ok(None),
        objects::UPLOADING if app.clock.now() < end => return Ok(Some(end)),
        objects::UPLOADING => {
            objects::doom(&mut tx, id).await?;
            tx.commit().await?;
        }
        _ => tx.finish(),
    }
    let (store, key) = (store(app)?, key(tenant, id));
    store.abandon(&key, object.upload_id.as_deref()).await?;
    store.delete(&key).await?;
    crash_here(app, "after_object_deleted");
    let mut tx = app.db.begin(tenant).await?;
    objects::forget(&mut tx, id).await?;
    tx.commit().await?;
    Ok(None)
}

/// Looks for objects that nobody has recorded, and deletes them; and for records without an object,
/// which the log then names.
pub async fn sweep(app: &App) -> Result<()> {
    let Some(store) = &app.store else {
        return Ok(());
    };
    // What was written a moment ago may be recorded a moment later.
    let settled = std::time::Duration::from(app.settings.knowledge.upload_timeout);
    let mut present: HashMap<TenantId, HashSet<Uuid>> = HashMap::new();
    let mut pages = store.list("").try_chunks(PAGE);
    while let Some(page) = pages.try_next().await.map_err(|chunk| chunk.1)? {
        let mut of_tenant: HashMap<TenantId, Vec<Uuid>> = HashMap::new();
        for found in page {
            let parts = found.key.split_once('/').and_then(|(tenant, id)| {
                Some((tenant.parse::<TenantId>().ok()?, id.parse::<Uuid>().ok()?))
            });
            // Somebody else's in a shared bucket.
            let Some((tenant, id)) = parts else { continue };
            present.entry(tenant).or_default().insert(id);
            if found.age > settled {
                of_tenant.entry(tenant).or_default().push(id);
            }
        }
        for (tenant, ids) in of_tenant {
            delete_unknown(app, store, tenant, &ids).await?;
        }
    }
    report_lost(app, &present).await
}

async fn delete_unknown(app: &App, store: &Store, tenant: TenantId, ids: &[Uuid]) -> Result<()> {
    let mut tx = app.db.begin(tenant).await?;
    let known: HashSet<Uuid> = objects::known(&mut tx, ids).await?.into_iter().collect();
    tx.finish();
    for id in ids.iter().filter(|id| !known.contains(id)) {
        tracing::warn!(%tenant, object = %id, "deleting an object that nobody has recorded");
        store.delete(&key(tenant, ObjectId::new(*id))).await?;
    }
    Ok(())
}

async fn report_lost(app: &App, present: &HashMap<TenantId, HashSet<Uuid>>) -> Result<()> {
    let nothing = HashSet::new();
    let mut page = tenants::page_after(&app.db, TenantId::new(Uuid::nil())).await?;
    while let Some(last) = page.last().copied() {
        for tenant in page {
            let there = present.get(&tenant).unwrap_or(&nothing);
            let mut after = Uuid::nil();
            loop {
                let mut tx = app.db.begin(tenant).await?;
                let stored = objects::stored_after(&mut tx, after).await?;
                tx.finish();
                let Some(newest) = stored.last() else { break };
                after = *newest;
                for id in stored.iter().filter(|id| !there.contains(id)) {
                    tracing::error!(%tenant, object = %id, "an object is recorded, and not in the store");
                }
            }
        }
        page = tenants::page_after(&app.db, last).await?;
    }
    Ok(())
}
