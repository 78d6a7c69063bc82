//! The service: its settings, clients and shared state.

use std::{ops::Deref, sync::Arc};

use patchbay_domain::{Clock, session::Timings};
use patchbay_livekit::LiveKit;
use patchbay_outbound::{Client, Network, Policy};
use patchbay_persistence::{Db, PoolSettings, jobs::Claim};
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

/// The service: the database, and what it shares with the service on behalf of each job. Shared in an `Arc`.
pub struct Service {
    /// PostgreSQL connection pool.
    pub db: Db,
    shared: Arc<Shared>,
}

impl Deref for Service {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.shared
    }
}

/// The process that the service is a part of.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Threads that serve requests.
    pub threads: usize,
    /// Whether SQL statements are traced.
    pub spans: bool,
}

/// The settings, clients and shared state of the service.
pub struct Shared {
    /// The settings it was started with.
    pub settings: Settings,
    /// Deadlines of sessions and calls.
    pub timings: Timings,
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
    /// Creates the service without connecting to anything yet.
    pub fn new(
        settings: Settings,
        clock: Clock,
        embedder: Option<Arc<dyn Embedder>>,
        process: &Process,
    ) -> anyhow::Result<Self> {
        let policy = Policy::new(settings.outbound_allow.clone());
        let db = database(&settings.database, process)?;
        let shared = Shared {
            outbound: Client::new(policy.clone(), Network::default())?,
            policy,
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
        };
        Ok(Self {
            db,
            shared: Arc::new(shared),
        })
    }

    /// The service on behalf of a job, whose transactions commit only while the claim is held; with `None`, for work
    /// that outlives its job.
    pub fn under_claim(&self, claim: Option<Claim>) -> Arc<Self> {
        Arc::new(Self {
            db: self.db.under_claim(claim),
            shared: Arc::clone(&self.shared),
        })
    }
}

fn database(settings: &DatabaseSettings, process: &Process) -> anyhow::Result<Db> {
    let pool = PoolSettings {
        size: settings.pool_size,
        threads: process.threads,
        wait: settings.pool_wait,
        statement_timeout: settings.statement_timeout,
        spans: process.spans,
    };
    Ok(Db::new(
        &settings.url,
        settings.listen_url.as_deref(),
        &pool,
    )?)
}

fn livekit(settings: &LiveKitSettings) -> anyhow::Result<LiveKit> {
    Ok(LiveKit::new(patchbay_livekit::Settings {
        url: settings.url.clone(),
        api_key: settings.api_key.clone(),
        api_secret: settings.api_secret.reveal().to_owned(),
        timeout: settings.timeout,
    })?)
}
