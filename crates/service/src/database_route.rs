//! How PostgreSQL is reached: directly, or through a pooler that shares its connections by transaction.

use anyhow::Context as _;
use patchbay_persistence::Route;

use crate::Service;

/// One sentence on the connections. Fails if notifications do not arrive through them.
pub async fn describe(service: &Service) -> anyhow::Result<&'static str> {
    let route = service.db.route().await.context("DATABASE_URL")?;
    let has_listen_url = service.settings.database.listen_url.is_some();
    if route == Route::Pooled && !has_listen_url {
        anyhow::bail!(
            "DATABASE_URL: it leads to a pooler, through which no notifications arrive; set DATABASE_LISTEN_URL to a URL that \
             reaches PostgreSQL directly"
        );
    }
    let notifications = service.db.route_of_notifications().await;
    if notifications.context("DATABASE_LISTEN_URL")? == Route::Pooled {
        anyhow::bail!(
            "DATABASE_LISTEN_URL: it leads to a pooler, through which no notifications arrive"
        );
    }
    Ok(match (route, has_listen_url) {
        (Route::Direct, _) => "DATABASE_URL reaches PostgreSQL directly.",
        (Route::Pooled, _) => {
            "DATABASE_URL leads to a pooler that supports prepared statements; DATABASE_LISTEN_URL reaches PostgreSQL directly."
        }
    })
}
