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

/// Where an object is in the store. Installations that share one differ in the first part.
pub fn key(app: &App, tenant: TenantId, id: ObjectId) -> String {
    format!("{}/{tenant}/{id}", app.settings.env)
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
            objects::doom_upload(&mut tx, id).await?;
            tx.commit().await?;
        }
        _ if objects::is_used(&mut tx, id).await? => {
            return Err(ApiError::internal(format!(
                "object {id} is doomed and in use"
            )));
        }
        _ => tx.finish(),
    }
    let (store, key) = (store(app)?, key(app, tenant, id));
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
    let mut pages = store.list(&app.settings.env).try_chunks(PAGE);
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
        store.delete(&key(app, tenant, ObjectId::new(*id))).await?;
    }
    Ok(())
}

async fn report_lost(app: &App, present: &HashMap<TenantId, HashSet<Uuid>>) -> Result<()> {
    let nothing = HashSet::new();
    // One that has come since the store was listed is not lost.
    let settled = app.clock.now() - app.settings.knowledge.upload_timeout.delta() * 2;
    let mut page = tenants::page_after(&app.db, TenantId::new(Uuid::nil())).await?;
    while let Some(last) = page.last().copied() {
        for tenant in page {
            let there = present.get(&tenant).unwrap_or(&nothing);
            let mut after = Uuid::nil();
            loop {
                let mut tx = app.db.begin(tenant).await?;
                let stored = objects::stored_after(&mut tx, after, settled).await?;
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
