//! Deletes stored responses of idempotency keys, applied webhook events, and workers that are gone, after their
//! retention periods.

use chrono::TimeDelta;
use patchbay_domain::TenantId;
use patchbay_persistence::{idempotency, tenants, webhook_events, workers};

use crate::{Result, Service};

/// How long a worker that is gone stays listed.
const WORKER_RETENTION: TimeDelta = TimeDelta::days(1);

/// Runs the purge job. Row-level security shows the rows of one tenant at a time, so the tenants are
/// processed one after the other.
pub async fn purge(service: &Service) -> Result<()> {
    let now = service.clock.now();
    let before = now - service.settings.retention.webhooks;
    let mut connection = service.db.connection().await?;
    let events = webhook_events::purge(&mut connection, before).await?;
    webhook_events::blank_applied(&mut connection).await?;
    workers::purge(&mut connection, now - WORKER_RETENTION).await?;
    drop(connection);
    let before = now - service.settings.retention.idempotency;
    // Responses to requests without a tenant are stored under the nil id.
    let no_tenant = TenantId::new(uuid::Uuid::nil());
    let (mut responses, mut page) = (0, vec![no_tenant]);
    while let Some(last) = page.last().copied() {
        for tenant in page {
            let mut tx = service.db.begin(tenant).await?;
            responses += idempotency::purge(&mut tx, before).await?;
            tx.commit().await?;
        }
        page = tenants::page_after(&service.db, last).await?;
    }
    if events + responses > 0 {
        tracing::info!(
            events,
            responses,
            "purged expired webhook events and stored responses"
        );
    }
    Ok(())
}
