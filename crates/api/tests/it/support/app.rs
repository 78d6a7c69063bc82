//! The app under test.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use clap::Parser;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use patchbay_api::{app::App, server::Server, settings::Settings};
use patchbay_domain::Clock;
use patchbay_livekit::LiveKit;
use patchbay_vectors::{Background, Embedder, Local};
use serde_json::json;

use super::{Client, Fixture, ORIGIN, PATIENCE, make_schema};

/// Keys of the test installation.
pub const OPERATOR_KEY: &str = "operator-key-of-the-test-installation";
pub const WORKER_KEY: &str = "worker-key-of-the-test-installation!!";

/// A variable that `cargo xtask test` sets for its servers.
pub fn environment(name: &str) -> String {
    optional(name)
        .unwrap_or_else(|| panic!("PATCHBAY_TEST_{name} is not set: run `cargo xtask test`"))
}

/// The same for what only some of its steps set.
pub fn optional(name: &str) -> Option<String> {
    std::env::var(format!("PATCHBAY_TEST_{name}")).ok()
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
}

/// A server on a free port with a schema of its own.
pub struct TestApp {
    pub server: Server,
    schema: String,
}

/// The URL of a role with the schema as its search path.
pub fn in_schema(url: &str, schema: &str) -> String {
    format!("{url}?options=-csearch_path%3D{schema}%2Cpublic")
}

/// A client of the LiveKit at this URL that waits for as long as a test does.
pub fn livekit(url: &str) -> LiveKit {
    let settings = patchbay_livekit::Settings {
        url: url.to_owned(),
        api_key: environment("LIVEKIT_KEY"),
        api_secret: environment("LIVEKIT_SECRET"),
        timeout: PATIENCE,
    };
    LiveKit::new(settings).unwrap()
}

/// Installs the crypto provider of rustls, once in a process.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl TestApp {
    /// An app on the shared LiveKit.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// An app with these additional settings, as `--name=value`.
    pub async fn start_with(more: &[&str]) -> Self {
        let schema = make_schema().await;
        let server = serve(&schema, more);
        Self { server, schema }
    }

    /// A second process, so to speak, on the same data.
    pub fn beside(&self, more: &[&str]) -> Self {
        Self {
            server: serve(&self.schema, more),
            schema: self.schema.clone(),
        }
    }

    /// Restarts the service on the same data with other settings and on another port.
    pub async fn restart_with(&mut self, more: &[&str]) {
        let server = std::mem::replace(&mut self.server, serve(&self.schema, more));
        server.stop(Duration::ZERO).await;
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// A client without a key.
    pub fn anonymous(&self) -> Client {
        Client::new(&self.base(), None)
    }

    /// A client with this key.
    pub fn with_key(&self, key: &str) -> Client {
        Client::new(&self.base(), Some(key))
    }

    pub fn operator(&self) -> Client {
        self.with_key(OPERATOR_KEY)
    }

    pub fn worker(&self) -> Client {
        self.with_key(WORKER_KEY)
    }

    /// A tenant with an agent that is ready to run.
    pub async fn tenant(&self, slug: &str) -> Fixture {
        Fixture::make(&self.base(), slug).await
    }

    /// A key of the tenant with just these scopes.
    pub async fn key(&self, tenant: &str, scopes: &[&str]) -> Client {
        let path = format!("/api/tenants/{tenant}/keys");
        let body = json!({ "name": "test", "scopes": scopes });
        let made = self.operator().post(&path, &body).await.expect(201);
        self.with_key(made["secret"].as_str().unwrap())
    }

    /// A connection with the role whose URL is in this variable.
    pub async fn connect(&self, role: &str) -> AsyncPgConnection {
        let mut connection = AsyncPgConnection::establish(&self.url(role)).await.unwrap();
        if optional("DISTRIBUTED").is_some() {
            // A test looks at all rows that it may see; the service may not.
            let all = "SET citus.multi_task_query_log_level = 'off'";
            connection.batch_execute(all).await.unwrap();
        }
        connection
    }

    /// The URL of this role, in the schema of the app.
    pub fn url(&self, role: &str) -> String {
        in_schema(&environment(role), &self.schema)
    }

    /// A client of the app's LiveKit that has more patience than the app.
    pub fn livekit(&self) -> LiveKit {
        livekit(&self.server.app.settings.service.livekit.url)
    }

    /// Name of the schema.
    pub fn schema(&self) -> &str {
        &self.schema
    }
}

fn serve(schema: &str, more: &[&str]) -> Server {
    let settings = Cli::parse_from(arguments(schema, more)).settings;
    let knowledge = &settings.service.knowledge;
    let embedder = match knowledge.embedding_url {
        Some(_) => knowledge.embedder(false).unwrap(),
        None => knowledge.embedding_directory.as_ref().map(|_| model()),
    };
    let app = App::with_embedder(settings, Clock::system(), embedder).unwrap();
    Server::start(Arc::new(app)).unwrap()
}

/// The real model, loaded once for all tests.
pub fn model() -> Arc<dyn Embedder> {
    static MODEL: LazyLock<Arc<Local>> = LazyLock::new(|| {
        let folder = environment("MODEL");
        let background = Background {
            threads: 1,
            nice: 5,
        };
        Arc::new(Local::load(folder.as_ref(), background).unwrap())
    });
    Arc::<Local>::clone(&MODEL)
}

/// Arguments of the service in tests, with short intervals; `more` replaces some of them.
pub fn arguments(schema: &str, more: &[&str]) -> Vec<String> {
    let direct = environment("DATABASE_URL");
    let pooled = optional("POOLED_DATABASE_URL");
    let mut arguments = vec![
        "test".to_owned(),
        format!(
            "--database-url={}",
            in_schema(pooled.as_ref().unwrap_or(&direct), schema)
        ),
        "--database-pool-size=8".to_owned(),
        "--listen=127.0.0.1:0".to_owned(),
        "--metrics-listen=off".to_owned(),
        "--workers=1".to_owned(),
        format!("--env={schema}"),
        format!("--operator-key={OPERATOR_KEY}"),
        format!("--worker-key={WORKER_KEY}"),
        format!("--secret-keys=one:{}", "1".repeat(64)),
        format!("--livekit-url={}", environment("LIVEKIT_URL")),
        format!("--livekit-api-key={}", environment("LIVEKIT_KEY")),
        format!("--livekit-api-secret={}", environment("LIVEKIT_SECRET")),
        format!("--cors-origins={ORIGIN}"),
        "--key-limits=reads=1000000,writes=1000000,starts=1000000".to_owned(),
        "--tenant-limits=reads=1000000,writes=1000000,starts=1000000".to_owned(),
        "--address-limit=1000000".to_owned(),
        "--body-timeout=1s".to_owned(),
        // A session without a worker stays as it is, unless a test is about its end.
        "--start-deadline=10m".to_owned(),
        "--join-deadline=10m".to_owned(),
        "--dispatch-check=400ms".to_owned(),
        "--join-poll=200ms".to_owned(),
        "--agent-grace=1s".to_owned(),
        "--reconcile-interval=1s".to_owned(),
        "--job-poll=100ms".to_owned(),
        "--job-lease=2s".to_owned(),
        "--start-wait=2s".to_owned(),
        "--livekit-timeout=1s".to_owned(),
        "--room-empty-timeout=2m".to_owned(),
        format!(
            "--storage-directory={}/{schema}-objects",
            environment("FOLDER")
        ),
        format!("--extractor={}", env!("CARGO_BIN_EXE_patchbay-api")),
    ];
    if pooled.is_some() {
        let direct = in_schema(&direct, schema);
        arguments.push(format!("--database-listen-url={direct}"));
    }
    for argument in more {
        let name = argument.split('=').next().unwrap();
        arguments.retain(|known| known.split('=').next() != Some(name));
        arguments.push((*argument).to_owned());
    }
    if more
        .iter()
        .any(|argument| argument.starts_with("--s3-bucket"))
    {
        arguments.retain(|known| !known.starts_with("--storage-directory"));
    }
    arguments
}
