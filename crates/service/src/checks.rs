//! Whether the service can do its work: what readiness and `check-config` look at.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use futures_util::join;
use patchbay_persistence::migrations;

use crate::Service;

/// One thing that the service depends on.
pub struct Check {
    /// What it is.
    pub name: &'static str,
    /// What is wrong with it.
    pub fault: Option<Fault>,
    /// How long looking took.
    pub latency: Duration,
}

/// What is wrong.
pub struct Fault {
    /// The cause, for the operator.
    pub cause: anyhow::Error,
    /// What anyone may be shown.
    pub shown: String,
}

impl From<anyhow::Error> for Fault {
    fn from(cause: anyhow::Error) -> Self {
        Self {
            cause,
            shown: "does not answer as it should; the cause is in the log".to_owned(),
        }
    }
}

/// Looks at PostgreSQL, the migrations, LiveKit and, where one is set, the object store.
pub async fn all(service: &Service) -> Vec<Check> {
    let (postgresql, migrations, livekit, store) = join!(
        timed("postgresql", postgresql(service)),
        timed("migrations", migrations(service)),
        timed("livekit", livekit(service)),
        timed("object_store", object_store(service)),
    );
    let mut checks = vec![postgresql, migrations, livekit];
    checks.extend(service.store.is_some().then_some(store));
    checks
}

async fn timed(name: &'static str, look: impl Future<Output = Result<(), Fault>>) -> Check {
    let started = Instant::now();
    let fault = look.await.err();
    Check {
        name,
        fault,
        latency: started.elapsed(),
    }
}

async fn postgresql(service: &Service) -> Result<(), Fault> {
    Ok(service.db.ping().await.context("DATABASE_URL")?)
}

async fn migrations(service: &Service) -> Result<(), Fault> {
    let pending = migrations::pending(&service.db).await;
    let pending = pending.context("DATABASE_URL")?;
    if pending.is_empty() {
        return Ok(());
    }
    let names = pending.join(", ");
    Err(Fault {
        cause: anyhow!(
            "DATABASE_URL: migrations are pending ({names}); run `patchbay-api migrate`"
        ),
        shown: format!("pending: {names}"),
    })
}

async fn livekit(service: &Service) -> Result<(), Fault> {
    let probe = vec!["readiness-probe".to_owned()];
    let rooms = service.livekit.list_rooms(probe).await;
    Ok(rooms.map(drop).context("LIVEKIT_URL")?)
}

async fn object_store(service: &Service) -> Result<(), Fault> {
    match &service.store {
        Some(store) => Ok(store.ping().await.context("the object store")?),
        None => Ok(()),
    }
}
