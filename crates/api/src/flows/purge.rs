//! Deletes what has aged out: answers kept for idempotency keys, and applied webhook events.

use patchbay_domain::TenantId;
use patchbay_persistence::{idempotency, tenants, webhook_events};

use crate::{app::App, error::Result};

/// The job. Row-level security lets it see one tenant at a time, so it visits each.
pub async fn purge(app: &App) -> Result<()> {
    let now = app.clock.now();
    let before = now - app.settings.webhook_retention.delta();
    let mut connection = app.db.connection().await?;
    let events = webhook_events::purge(&mut connection, before).await?;
    webhook_events::blank_applied(&mut connection).await?;
    drop(connection);
    let before = now - app.settings.idempotency_retention.delta();
    // Answers of requests without a tenant are among nobody's rows.
    let nobody = TenantId::new(uuid::Uuid::nil());
    let (mut answers, mut page) = (0, vec![nobody]);
    while let Some(last) = page.last().copied() {
        for tenant in page {
            let mut tx = app.db.begin(tenant).await?;
            answers += idempotency::purge(&mut tx, before).await?;
            tx.commit().await?;
        }
        page = tenants::page_after(&app.db, last).await?;
    }
    if events + answers > 0 {
        tracing::info!(events, answers, "purged what has aged out");
    }
    Ok(())
}
