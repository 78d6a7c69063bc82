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
    let mut erased = Erased::default();
    let outcome = erase_all(service, tenant, kept, &mut erased).await;
    // What was erased before a failure is told as well.
    record(service, tenant, &erased).await.and(outcome)
}

async fn erase_all(
    service: &Service,
    tenant: TenantId,
    kept: Retention,
    erased: &mut Erased,
) -> Result<()> {
    for (kind, days, count) in [
        (
            Kind::Transcripts,
            kept.transcripts,
            &mut erased.transcript_turns,
        ),
        (Kind::Timelines, kept.timelines, &mut erased.session_events),
        (Kind::Calls, kept.calls, &mut erased.calls),
        (Kind::Audit, kept.audit, &mut erased.audit_events),
    ] {
        erase(service, tenant, (kind, days), count).await?;
    }
    Ok(())
}

async fn record(service: &Service, tenant: TenantId, erased: &Erased) -> Result<()> {
    // One audit event alone is that of an earlier day: another one for it would never end.
    let others = erased.transcript_turns + erased.session_events + erased.calls;
    if others == 0 && erased.audit_events <= 1 {
        return Ok(());
    }
    let event = Event::new(
        "retention_applied",
        "tenant",
        tenant,
        None::<&()>,
        Some(erased),
    );
    let change = async |_: &mut _| Ok(Change::one((), event));
    service.change(tenant, &Origin::system(), change).await
}

/// Erases the records of one kind that are older than this, and adds up their number.
async fn erase(
    service: &Service,
    tenant: TenantId,
    (kind, days): (Kind, Option<u32>),
    count: &mut i64,
) -> Result<()> {
    let Some(days) = days else {
        return Ok(());
    };
    let before = service.clock.now() - TimeDelta::days(days.into());
    loop {
        let mut tx = service.db.begin(tenant).await?;
        let erased = retention::erase(&mut tx, kind, before, BATCH).await?;
        tx.commit().await?;
        *count += erased;
        if erased < BATCH.into() {
            return Ok(());
        }
    }
}
