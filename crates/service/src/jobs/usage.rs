//! Stores the last use of API keys, and the usage of knowledge search, in batches.

use std::{sync::Arc, time::Duration};

use chrono::{DurationRound as _, TimeDelta};
use patchbay_persistence::{api_keys, knowledge_usage};

use super::Shutdown;
use crate::Service;

/// Stores the counters every five seconds, and once more at shutdown.
pub async fn run(service: Arc<Service>, mut shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
            _ = shutdown.changed() => {}
        }
        let used: Vec<_> = service
            .counters
            .take_keys()
            .into_iter()
            .map(|id| id.uuid())
            .collect();
        if !used.is_empty() {
            let stored = async {
                let mut connection = service.db.connection().await?;
                api_keys::touch(&mut connection, &used, service.clock.now()).await
            };
            if let Err(error) = stored.await {
                tracing::warn!(%error, "the last use of API keys could not be stored");
            }
        }
        store_knowledge_use(&service).await;
        if *shutdown.borrow() {
            return;
        }
    }
}

async fn store_knowledge_use(service: &Service) {
    let now = service.clock.now();
    let at = now.duration_trunc(TimeDelta::minutes(15)).unwrap_or(now);
    for (tenant, used) in service.counters.take_knowledge() {
        let stored = async {
            let mut tx = service.db.begin(tenant).await?;
            let amount = (used.searches, used.embedding_seconds);
            knowledge_usage::add(&mut tx, at, amount).await?;
            tx.commit().await
        };
        if let Err(error) = stored.await {
            tracing::warn!(%error, "knowledge usage could not be stored; it will be retried");
            service.counters.record_knowledge_use(tenant, used);
        }
    }
}
