//! What every subject shares.

use std::sync::Arc;

use patchbay_domain::Clock;
use patchbay_livekit::LiveKit;
use patchbay_outbound::{Client, Network, Policy};
use patchbay_persistence::Db;
use patchbay_storage::Store;
use patchbay_vectors::Embedder;
use tokio::sync::Notify;

use crate::{Settings, compute::Compute, counters::Counters, keyring::KeyRing};

/// What the service is put together from.
pub struct Parts {
    /// The settings.
    pub settings: Settings,
    /// PostgreSQL.
    pub db: Db,
    /// LiveKit.
    pub livekit: LiveKit,
    /// Where files are kept, if anywhere.
    pub store: Option<Store>,
    /// What embeds texts, if anything.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// What secrets are sealed with.
    pub keyring: KeyRing,
    /// Time and ids.
    pub clock: Clock,
}

/// The service: what it knows and whom it talks to. Shared behind an `Arc`.
pub struct Service {
    /// The settings it was started with.
    pub settings: Settings,
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
    /// Puts the service together. Connects to nothing yet.
    pub fn new(parts: Parts) -> anyhow::Result<Self> {
        let Parts {
            settings,
            db,
            livekit,
            store,
            embedder,
            keyring,
            clock,
        } = parts;
        let policy = Policy::new(settings.outbound_allow.clone());
        Ok(Self {
            outbound: Client::new(policy.clone(), Network::default())?,
            policy,
            settings,
            db,
            livekit,
            clock,
            keyring,
            store,
            embedder,
            compute: Compute::new(),
            counters: Counters::default(),
            job_due: Notify::new(),
            ingest_due: Notify::new(),
            event_stored: Notify::new(),
        })
    }
}
