//! State that all requests share.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Instant,
};

use patchbay_domain::Clock;
use patchbay_service::{Process, Service, rates::RateLimits};
use patchbay_vectors::Embedder;

use crate::settings::Settings;

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
    /// Set when shutdown begins; readiness fails from then on.
    pub draining: AtomicBool,
    /// Why an essential background task or the HTTP server has ended; the process is about to exit.
    pub fatal_error: OnceLock<String>,
}

impl App {
    /// Creates the state for these settings. Opens no connection, but loads a local model.
    pub fn new(settings: Settings, clock: Clock) -> anyhow::Result<Self> {
        let service = &settings.service;
        let embedder = service.knowledge.embedder(service.panics_in_embedder())?;
        Self::with_embedder(settings, clock, embedder)
    }

    /// Creates the state with an embedding model that is already loaded.
    pub fn with_embedder(
        settings: Settings,
        clock: Clock,
        embedder: Option<Arc<dyn Embedder>>,
    ) -> anyhow::Result<Self> {
        let process = Process {
            threads: settings.threads()?,
            spans: settings.otlp_endpoint.is_some(),
        };
        let service = Service::new(settings.service.clone(), clock, embedder, &process)?;
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
            fatal_error: OnceLock::new(),
        })
    }
}
