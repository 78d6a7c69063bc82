//! Deletes what has aged out: answers kept for idempotency keys, and applied webhook events.

use patchbay_domain::TenantId;
use patchbay_persistence::{idempotency, tenants, webhook_events};

use crate::{Result, Service};

/// The job. Row-level security lets it see one tenant at a time, so it visits each.
pub async fn purge(service: &Service) -> Result<()> {
    let now = service.clock.now();
    let before = now - service.settings.retention.webhooks;
    let mut connection = service.db.connection().await?;
    let events = webhook_events::purge(&mut connection, before).await?;
    webhook_events::blank_applied(&mut connection).await?;
    drop(connection);
    let before = now - service.settings.retention.idempotency;
    // Answers of requests without a tenant are under the nil id.
    let no_tenant = TenantId::new(uuid::Uuid::nil());
    let (mut answers, mut page) = (0, vec![no_tenant]);
    while let Some(last) = page.last().copied() {
        for tenant in page {
            let mut tx = service.db.begin(tenant).await?;
            answers += idempotency::purge(&mut tx, before).await?;
            tx.commit().await?;
        }
        page = tenants::page_after(&service.db, last).await?;
    }
    if events + answers > 0 {
        tracing::info!(events, answers, "purged what has aged out");
    }
    Ok(())
}
