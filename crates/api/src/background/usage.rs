//! Notes when API keys were last used and what was searched, in batches, and forgets rate limits that
//! nobody is near.

use std::{sync::Arc, time::Duration};

use chrono::{DurationRound as _, TimeDelta};
use patchbay_persistence::{api_keys, knowledge_usage};

use super::Shutdown;
use crate::app::App;

/// The loop: every few seconds, and once more at the end.
pub async fn run(app: Arc<App>, mut shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
            _ = shutdown.changed() => {}
        }
        app.rates.forget_idle();
        let used: Vec<_> = app
            .take_used_keys()
            .into_iter()
            .map(|id| id.uuid())
            .collect();
        if !used.is_empty() {
            let noted = async {
                let mut connection = app.db.connection().await?;
                api_keys::touch(&mut connection, &used, app.clock.now()).await
            };
            if let Err(error) = noted.await {
                tracing::warn!(%error, "the use of keys was not noted");
            }
        }
        note_knowledge_use(&app).await;
        if *shutdown.borrow() {
            return;
        }
    }
}

async fn note_knowledge_use(app: &App) {
    let now = app.clock.now();
    let at = now.duration_trunc(TimeDelta::minutes(15)).unwrap_or(now);
    for (tenant, used) in app.take_knowledge_use() {
        let noted = async {
            let mut tx = app.db.begin(tenant).await?;
            let amount = (used.searches, used.embedding_seconds);
            knowledge_usage::add(&mut tx, at, amount).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::warn!(%error, "searches were not counted; they are counted later");
            app.note_knowledge_use(tenant, used.searches, used.embedding_seconds);
        }
    }
}
