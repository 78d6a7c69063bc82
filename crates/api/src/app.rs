//! What every request and every loop shares.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Instant,
};

use patchbay_domain::{ApiKeyId, Clock, TenantId, session::Timings};
use patchbay_livekit::LiveKit;
use patchbay_outbound::{Network, Policy};
use patchbay_persistence::{Db, PoolSettings};
use patchbay_storage::Store;
use patchbay_vectors::Embedder;
use tokio::sync::Notify;

use crate::{compute::Compute, keyring::KeyRing, rates::RateLimits, settings::Settings};

/// The service's state. Shared behind an `Arc`.
pub struct App {
    /// The settings it was started with.
    pub settings: Settings,
    /// PostgreSQL.
    pub db: Db,
    /// LiveKit.
    pub livekit: LiveKit,
    /// Time and ids.
    pub clock: Clock,
    /// How long sessions may take for what.
    pub timings: Timings,
    /// What secrets are sealed with.
    pub keyring: KeyRing,
    /// Where tools may call.
    pub policy: Policy,
    /// Calls of tools.
    pub outbound: patchbay_outbound::Client,
    /// Where files are kept, if anywhere.
    pub store: Option<Store>,
    /// What embeds texts, if anything.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Rate limits of this process.
    pub rates: RateLimits,
    /// Work that keeps a processor busy.
    pub compute: Compute,
    /// Told when a job may be due.
    pub job_due: Notify,
    /// Told when an ingest may be due.
    pub ingest_due: Notify,
    /// Told when a webhook event is stored.
    pub event_stored: Notify,
    /// When the process started.
    pub started: Instant,
    /// Set when the process is asked to end: readiness fails from then on.
    pub draining: std::sync::atomic::AtomicBool,
    /// What has ended that the service is nothing without; the process is about to end of it.
    pub broken: OnceLock<String>,
    used_keys: Mutex<HashSet<ApiKeyId>>,
    knowledge_use: Mutex<HashMap<TenantId, KnowledgeUse>>,
}

/// What was searched and embedded since it was last written down.
#[derive(Clone, Copy, Debug, Default)]
pub struct KnowledgeUse {
    /// Searches.
    pub searches: i64,
    /// Seconds that the model worked.
    pub embedding_seconds: f64,
}

impl App {
    /// The state for these settings. Connects to nothing yet, but loads a local model.
    pub fn new(settings: Settings, clock: Clock) -> anyhow::Result<Self> {
        let panics = settings.crash_at.as_deref() == Some("panic:embed");
        let embedder = settings.knowledge.embedder(panics)?;
        Self::with_embedder(settings, clock, embedder)
    }

    /// The same with a model that is loaded already.
    pub fn with_embedder(
        settings: Settings,
        clock: Clock,
        embedder: Option<Arc<dyn Embedder>>,
    ) -> anyhow::Result<Self> {
        let db = Db::new(
            &settings.database_url,
            &PoolSettings {
                size: settings.database_pool_size,
                wait: settings.database_pool_wait.into(),
                statement_timeout: settings.database_statement_timeout.into(),
                spans: settings.otlp_endpoint.is_some(),
            },
        )?;
        let livekit = LiveKit::new(patchbay_livekit::Settings {
            url: settings.livekit_url.clone(),
            api_key: settings.livekit_api_key.clone(),
            api_secret: settings.livekit_api_secret.reveal().to_owned(),
            timeout: settings.livekit_timeout.into(),
        })?;
        let policy = Policy::new(settings.outbound_allow.clone());
        Ok(Self {
            outbound: patchbay_outbound::Client::new(policy.clone(), Network::default())?,
            policy,
            timings: settings.timings(),
            keyring: settings.keyring()?,
            store: settings.knowledge.store()?,
            embedder,
            rates: RateLimits::new(
                settings.key_limits,
                settings.tenant_limits,
                settings.address_limit,
                settings.processes,
            ),
            settings,
            db,
            livekit,
            clock,
            compute: Compute::new(),
            job_due: Notify::new(),
            ingest_due: Notify::new(),
            event_stored: Notify::new(),
            started: Instant::now(),
            draining: false.into(),
            broken: OnceLock::new(),
            used_keys: Mutex::default(),
            knowledge_use: Mutex::default(),
        })
    }

    /// Remembers that a key was used; written in batches.
    pub fn note_key_use(&self, id: ApiKeyId) {
        self.used_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id);
    }

    /// Counts searches, and seconds that the model worked; written in batches.
    pub fn note_knowledge_use(&self, tenant: TenantId, searches: i64, embedding_seconds: f64) {
        let mut used = self
            .knowledge_use
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let entry = used.entry(tenant).or_default();
        entry.searches += searches;
        entry.embedding_seconds += embedding_seconds;
    }

    /// What was searched and embedded since the last call.
    pub fn take_knowledge_use(&self) -> HashMap<TenantId, KnowledgeUse> {
        std::mem::take(
            &mut *self
                .knowledge_use
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// The keys used since the last call.
    pub fn take_used_keys(&self) -> HashSet<ApiKeyId> {
        std::mem::take(
            &mut *self
                .used_keys
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}
