//! Writes down in batches when API keys were last used, and what was searched and embedded.

use std::{sync::Arc, time::Duration};

use chrono::{DurationRound as _, TimeDelta};
use patchbay_persistence::{api_keys, knowledge_usage};

use super::Shutdown;
use crate::Service;

/// The loop: every few seconds, and once more at the end.
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
            let noted = async {
                let mut connection = service.db.connection().await?;
                api_keys::touch(&mut connection, &used, service.clock.now()).await
            };
            if let Err(error) = noted.await {
                tracing::warn!(%error, "the use of keys was not noted");
            }
        }
        note_knowledge_use(&service).await;
        if *shutdown.borrow() {
            return;
        }
    }
}

async fn note_knowledge_use(service: &Service) {
    let now = service.clock.now();
    let at = now.duration_trunc(TimeDelta::minutes(15)).unwrap_or(now);
    for (tenant, used) in service.counters.take_knowledge() {
        let noted = async {
            let mut tx = service.db.begin(tenant).await?;
            let amount = (used.searches, used.embedding_seconds);
            knowledge_usage::add(&mut tx, at, amount).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::warn!(%error, "searches were not counted; they are counted later");
            service.counters.note_knowledge(tenant, used);
        }
    }
}
