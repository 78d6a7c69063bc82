//! What every subject shares.

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

/// The service: what it knows and whom it talks to. Shared behind an `Arc`.
pub struct Service {
    /// The settings it was started with.
    pub settings: Settings,
    /// Deadlines of sessions and calls.
    pub timings: Timings,
    /// PostgreSQL.
    pub db: Db,
    /// LiveKit.
    pub livekit: LiveKit,
    /// Time and ids.
    pub clock: Clock,
    /// What secrets are sealed with.
    pub keyring: KeyRing,
    /// Where tools may call.
    pub policy: Policy,
    /// Calls of tools.
    pub outbound: Client,
    /// Where files are kept, if anywhere.
    pub store: Option<Store>,
    /// What embeds texts, if anything.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Work that keeps a processor busy.
    pub compute: Compute,
    /// What is counted in memory.
    pub counters: Counters,
    /// Notified when a job may be due.
    pub job_due: Notify,
    /// Notified when an ingest may be due.
    pub ingest_due: Notify,
    /// Notified when a webhook event is stored.
    pub event_stored: Notify,
}

impl Service {
    /// The service for these settings. Connects to nothing yet. `spans` says whether statements are traced.
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
