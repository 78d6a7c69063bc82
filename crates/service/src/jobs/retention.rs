//! Erases what is past the days for which the operator or the tenant keeps it.

use chrono::TimeDelta;
use patchbay_domain::{TenantId, retention::Retention};
use patchbay_persistence::{
    retention::{self, Kind},
    tenants,
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Origin, Result, Service,
    audit::{Change, Event},
};

/// Records that are erased in one transaction.
const BATCH: i32 = 1_000;

/// Numbers of erased records of a tenant.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Erased {
    transcript_turns: i64,
    session_events: i64,
    calls: i64,
    audit_events: i64,
}

/// Runs the job: tenant after tenant, each in small transactions. A tenant whose records cannot be erased does not keep the
/// others from it.
pub async fn apply(service: &Service) -> Result<()> {
    let mut failed = None;
    let mut page = tenants::page_after(&service.db, TenantId::new(Uuid::nil())).await?;
    while let Some(last) = page.last().copied() {
        for tenant in page {
            if let Err(error) = apply_to(service, tenant).await {
                tracing::warn!(%tenant, %error, "old records of a tenant could not be erased");
                failed = Some(error);
            }
        }
        page = tenants::page_after(&service.db, last).await?;
    }
    failed.map_or(Ok(()), Err)
}

async fn apply_to(service: &Service, tenant: TenantId) -> Result<()> {
    let mut tx = service.db.begin(tenant).await?;
    let found = tenants::find(&mut tx).await?;
    tx.finish();
    let Some(found) = found else {
        return Ok(());
    };
    // What cannot be read was changed outside of the service; the operator's days hold all the same.
    let own = Retention::of_settings(&found.settings).unwrap_or_default();
    let kept = service.settings.retention.days.stricter(own);
    let erased = Erased {
        transcript_turns: erase(service, tenant, Kind::Transcripts, kept.transcripts).await?,
        session_events: erase(service, tenant, Kind::Timelines, kept.timelines).await?,
        calls: erase(service, tenant, Kind::Calls, kept.calls).await?,
        audit_events: erase(service, tenant, Kind::Audit, kept.audit).await?,
    };
    if erased == Erased::default() {
        return Ok(());
    }
    let event = Event::new(
        "retention_applied",
        "tenant",
        tenant,
        None::<&()>,
        Some(&erased),
    );
    let change = async |_: &mut _| Ok(Change::one((), event));
    service.change(tenant, &Origin::system(), change).await
}

/// Erases the records of one kind that are older than this; returns their number.
async fn erase(service: &Service, tenant: TenantId, kind: Kind, days: Option<u32>) -> Result<i64> {
    let Some(days) = days else {
        return Ok(0);
    };
    let before = service.clock.now() - TimeDelta::days(days.into());
    let mut total = 0;
    loop {
        let mut tx = service.db.begin(tenant).await?;
        let erased = retention::erase(&mut tx, kind, before, BATCH).await?;
        tx.commit().await?;
        total += erased;
        if erased < BATCH.into() {
            return Ok(total);
        }
    }
}
