//! Notes when API keys were last used, in batches, and forgets rate limits that nobody is near.

use std::{sync::Arc, time::Duration};

use patchbay_persistence::api_keys;

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
        if *shutdown.borrow() {
            return;
        }
    }
}
