//! Checks of the service's dependencies, for readiness and `check-config`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use futures_util::join;
use patchbay_persistence::migrations;

use crate::Service;

/// Result of checking one dependency.
pub struct Check {
    /// Name of the dependency.
    pub name: &'static str,
    /// The failure, if the check failed.
    pub fault: Option<Fault>,
    /// Duration of the check.
    pub latency: Duration,
}

/// A failed check.
pub struct Fault {
    /// The cause, for the operator only.
    pub cause: anyhow::Error,
    /// Message without internal details, for unauthenticated clients.
    pub public_message: String,
}

impl From<anyhow::Error> for Fault {
    fn from(cause: anyhow::Error) -> Self {
        Self {
            cause,
            public_message: "unreachable or failing; the cause is in the log".to_owned(),
        }
    }
}

/// Checks PostgreSQL, the migrations, LiveKit and, if configured, the object store.
pub async fn run_all(service: &Service) -> Vec<Check> {
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

async fn timed(name: &'static str, check: impl Future<Output = Result<(), Fault>>) -> Check {
    let started = Instant::now();
    let fault = check.await.err();
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
        public_message: format!("pending: {names}"),
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
