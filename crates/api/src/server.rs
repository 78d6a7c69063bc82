//! The HTTP server and the background tasks.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use actix_web::{
    App as ActixApp, HttpResponse, HttpServer,
    dev::ServerHandle,
    middleware::{Compress, from_fn},
    web,
};
use anyhow::Context as _;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use patchbay_service::jobs::background;

use crate::{
    app::App, cors::cors, docs, envelope::envelope, extract::validation::RequestSchemas, routes,
    routing::answer,
};

/// How long an idle connection stays open: longer than a proxy keeps one (a minute, as a rule), so that none sends a request
/// into one that is being closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// A running server.
pub struct Server {
    /// Address that it listens on.
    pub address: SocketAddr,
    /// Shared state.
    pub app: Arc<App>,
    handle: ServerHandle,
    requests: JoinHandle<std::io::Result<()>>,
    shutdown: watch::Sender<bool>,
    background_tasks: JoinSet<String>,
}

impl Server {
    /// Starts the server and the background tasks; returns as soon as it listens.
    pub fn start(app: Arc<App>) -> anyhow::Result<Self> {
        let settings = &app.settings;
        let listener = TcpListener::bind(settings.listen)
            .with_context(|| format!("PATCHBAY_LISTEN: cannot listen on {}", settings.listen))?;
        let address = listener.local_addr()?;
        let api = routes::api();
        let document = api.document();
        let router = web::Data::new(api.into_router()?);
        let schemas = web::Data::new(RequestSchemas::new(&document));
        let document = web::Bytes::from(serde_json::to_vec(&document)?);
        let workers = settings.threads()?;
        let server = HttpServer::new({
            let app = Arc::clone(&app);
            move || {
                if let Err(error) = app.service.db.use_own_connections() {
                    tracing::warn!(%error, "a request thread has no connections of its own");
                }
                let document = document.clone();
                ActixApp::new()
                    .app_data(web::Data::from(Arc::clone(&app)))
                    .app_data(schemas.clone())
                    .app_data(router.clone())
                    .wrap(from_fn(envelope))
                    .wrap(Compress::default())
                    // The last one is the outermost: whatever is answered, a browser may read it.
                    .wrap(cors(&app.settings.cors_origins))
                    .configure(|config| configure(config, document))
                    .default_service(web::to(answer))
            }
        })
        .workers(workers)
        .shutdown_timeout(15)
        .client_request_timeout(Duration::from_secs(5))
        .keep_alive(KEEP_ALIVE)
        .disable_signals()
        .listen(listener)?
        .run();
        let handle = server.handle();
        let requests = tokio::spawn(server);
        let (shutdown, signal) = watch::channel(false);
        let mut background_tasks = background::start(&app.service, &settings.worker_names, &signal);
        background_tasks.spawn(evict_idle_rate_limits(Arc::clone(&app), signal));
        Ok(Self {
            address,
            app,
            handle,
            requests,
            shutdown,
            background_tasks,
        })
    }

    /// Resolves with a message when a background task or the HTTP server has ended unexpectedly. The process
    /// should then be restarted rather than work in part; readiness reports the error until then.
    pub async fn wait_for_failure(&mut self) -> String {
        let fault = tokio::select! {
            Some(ended) = self.background_tasks.join_next() => ended.unwrap_or_else(|error| error.to_string()),
            ended = &mut self.requests => format!("the HTTP server has ended: {ended:?}"),
        };
        let _ = self.app.fatal_error.set(fault.clone());
        fault
    }

    /// Shuts down: readiness fails for `grace`, requests in flight finish, then the background tasks stop.
    pub async fn stop(mut self, grace: Duration) {
        self.app.draining.store(true, Ordering::Relaxed);
        tokio::time::sleep(grace).await;
        self.handle.stop(true).await;
        let _ = self.shutdown.send(true);
        while self.background_tasks.join_next().await.is_some() {}
    }
}

/// Evicts unused rate limits every few seconds.
async fn evict_idle_rate_limits(app: Arc<App>, mut shutdown: watch::Receiver<bool>) -> String {
    while !*shutdown.borrow() {
        app.rates.remove_idle();
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
            _ = shutdown.changed() => {}
        }
    }
    "loop_of_rates has ended".to_owned()
}

fn configure(config: &mut web::ServiceConfig, document: web::Bytes) {
    config.route(
        "/openapi.json",
        web::get().to(move || {
            let document = document.clone();
            async move {
                HttpResponse::Ok()
                    .content_type("application/json")
                    .body(document)
            }
        }),
    );
    docs::configure(config);
}
