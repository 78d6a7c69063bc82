//! The service: its settings, clients and shared state.

use std::sync::Arc;

use patchbay_domain::{Clock, session::Timings};
use patchbay_livekit::LiveKit;
use patchbay_outbound::{Client, Network, Policy};
use patchbay_persistence::{Db, PoolSettings};
use patchbay_storage::Store;
use patchbay_vectors::Embedder;
use tokio::sync::Notify;

use crate::{
    Settings,
    compute::Compute,
    counters::Counters,
    keyring::KeyRing,
    settings::{DatabaseSettings, LiveKitSettings},
};

/// The settings, clients and shared state of the service. Shared in an `Arc`.
pub struct Service {
    /// The settings it was started with.
    pub settings: Settings,
    /// Deadlines of sessions and calls.
    pub timings: Timings,
    /// PostgreSQL connection pool.
    pub db: Db,
    /// LiveKit client.
    pub livekit: LiveKit,
    /// Source of times and ids.
    pub clock: Clock,
    /// Keys that encrypt secrets.
    pub keyring: KeyRing,
    /// Addresses to which tools may connect.
    pub policy: Policy,
    /// HTTP client of tools.
    pub outbound: Client,
    /// Object store of files, if configured.
    pub store: Option<Store>,
    /// Embedding model, if configured.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Concurrency limits of CPU-bound work.
    pub compute: Compute,
    /// Counters that are stored periodically.
    pub counters: Counters,
    /// Notified when a job may be due.
    pub job_due: Notify,
    /// Notified when an ingest may be due.
    pub ingest_due: Notify,
    /// Notified when a webhook event is stored.
    pub event_stored: Notify,
}

impl Service {
    /// Creates the service without connecting to anything yet. `spans` enables traces of SQL statements.
    pub fn new(
        settings: Settings,
        clock: Clock,
        embedder: Option<Arc<dyn Embedder>>,
        spans: bool,
    ) -> anyhow::Result<Self> {
        let policy = Policy::new(settings.outbound_allow.clone());
        Ok(Self {
            outbound: Client::new(policy.clone(), Network::default())?,
            policy,
            db: database(&settings.database, spans)?,
            livekit: livekit(&settings.livekit)?,
            clock,
            timings: settings.timings.timings(),
            keyring: settings.keyring()?,
            store: settings.knowledge.store()?,
            embedder,
            settings,
            compute: Compute::new(),
            counters: Counters::default(),
            job_due: Notify::new(),
            ingest_due: Notify::new(),
            event_stored: Notify::new(),
        })
    }
}

fn database(settings: &DatabaseSettings, spans: bool) -> anyhow::Result<Db> {
    let pool = PoolSettings {
        size: settings.pool_size,
        wait: settings.pool_wait,
        statement_timeout: settings.statement_timeout,
        spans,
    };
    Ok(Db::new(&settings.url, &pool)?)
}

fn livekit(settings: &LiveKitSettings) -> anyhow::Result<LiveKit> {
    Ok(LiveKit::new(patchbay_livekit::Settings {
        url: settings.url.clone(),
        api_key: settings.api_key.clone(),
        api_secret: settings.api_secret.reveal().to_owned(),
        timeout: settings.timeout,
    })?)
}
