//! What every request shares.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Instant,
};

use patchbay_domain::Clock;
use patchbay_livekit::LiveKit;
use patchbay_persistence::{Db, PoolSettings};
use patchbay_service::{Parts, Service};
use patchbay_vectors::Embedder;

use crate::{rates::RateLimits, settings::Settings};

/// The server's state. Shared behind an `Arc`.
pub struct App {
    /// The service.
    pub service: Arc<Service>,
    /// The settings it was started with.
    pub settings: Settings,
    /// Rate limits of this process.
    pub rates: RateLimits,
    /// When the process started.
    pub started: Instant,
    /// Set when the process is asked to end: readiness fails from then on.
    pub draining: AtomicBool,
    /// What has ended that the service is nothing without; the process is about to end of it.
    pub broken: OnceLock<String>,
}

impl App {
    /// The state for these settings. Connects to nothing yet, but loads a local model.
    pub fn new(settings: Settings, clock: Clock) -> anyhow::Result<Self> {
        let embedder = settings.knowledge.embedder(settings.panics_in_embedder())?;
        Self::with_embedder(settings, clock, embedder)
    }

    /// The same with a model that is loaded already.
    pub fn with_embedder(
        settings: Settings,
        clock: Clock,
        embedder: Option<Arc<dyn Embedder>>,
    ) -> anyhow::Result<Self> {
        let service = Service::new(Parts {
            settings: settings.of_service(),
            db: database(&settings)?,
            livekit: livekit(&settings)?,
            store: settings.knowledge.store()?,
            keyring: settings.keyring()?,
            embedder,
            clock,
        })?;
        Ok(Self {
            service: Arc::new(service),
            rates: RateLimits::new(
                settings.key_limits,
                settings.tenant_limits,
                settings.address_limit,
                settings.processes,
            ),
            settings,
            started: Instant::now(),
            draining: AtomicBool::new(false),
            broken: OnceLock::new(),
        })
    }
}

fn database(settings: &Settings) -> anyhow::Result<Db> {
    let pool = PoolSettings {
        size: settings.database_pool_size,
        wait: settings.database_pool_wait.into(),
        statement_timeout: settings.database_statement_timeout.into(),
        spans: settings.otlp_endpoint.is_some(),
    };
    Ok(Db::new(&settings.database_url, &pool)?)
}

fn livekit(settings: &Settings) -> anyhow::Result<LiveKit> {
    Ok(LiveKit::new(patchbay_livekit::Settings {
        url: settings.livekit_url.clone(),
        api_key: settings.livekit_api_key.clone(),
        api_secret: settings.livekit_api_secret.reveal().to_owned(),
        timeout: settings.livekit_timeout.into(),
    })?)
}
