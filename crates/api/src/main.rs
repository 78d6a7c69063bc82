//! The binary: `patchbay-api serve | health | migrate | index | distribute | check-config | rotate-secrets | openapi`.

use std::{
    process::ExitCode,
    sync::{Arc, LazyLock},
    time::Duration,
};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use patchbay_api::{
    app::App,
    instruments,
    probe::HealthCommand,
    process_metrics, routes,
    server::Server,
    settings::{self, IndexCommand, OwnerSettings, Settings},
    telemetry,
};
use patchbay_domain::Clock;
use patchbay_persistence::{
    distribute,
    hnsw::{self, Step},
    migrations,
};
use patchbay_service::{
    checks, database_role, database_route,
    knowledge::{confinement, extractor},
    secrets,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

/// Control plane for voice AI agents on LiveKit.
#[derive(Parser)]
#[command(version, long_version = &**VERSION, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Version, commit and the newest migration that this binary knows. Builds for operators set the commit.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}\ncommit {}\nschema {}",
        env!("CARGO_PKG_VERSION"),
        option_env!("PATCHBAY_COMMIT").unwrap_or("unknown"),
        migrations::newest(),
    )
});

#[derive(Subcommand)]
enum Command {
    /// Commands that process untrusted files, without async runtime and network.
    #[command(flatten)]
    Isolated(Isolated),
    /// The other commands.
    #[command(flatten)]
    Normal(Normal),
}

#[derive(Subcommand)]
enum Isolated {
    /// Extract the text of a file: standard input to standard output, within limits.
    #[command(hide = true)]
    Extract(extractor::ExtractArgs),
    /// Confine this process as `extract` does, and report which forbidden operations are still possible.
    #[command(hide = true)]
    Confinement(confinement::ProbeArgs),
}

#[derive(Subcommand)]
enum Normal {
    /// Serve the API.
    Serve(Box<Settings>),
    /// Fail unless the service of this machine is ready, and tell what is down.
    Health(HealthCommand),
    /// Run the database migrations as the owner of the database.
    Migrate(OwnerSettings),
    /// Create and drop the search indexes of tenants with many chunks, as the owner of the database.
    Index(IndexCommand),
    /// Distribute the tables over the nodes of a Citus cluster, as the owner of the database.
    Distribute(OwnerSettings),
    /// Check the settings and the services that they refer to.
    CheckConfig(Box<Settings>),
    /// Re-encrypt all secrets with the first key of PATCHBAY_SECRET_KEYS.
    RotateSecrets(Box<Settings>),
    /// Print the OpenAPI document.
    Openapi,
}

/// Exit code if a setting is invalid.
const EXIT_INVALID_SETTING: u8 = 2;
/// How long readiness fails before requests are refused.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);
/// Maximum duration of the shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    limit_model_threads();
    // Memory and environment contain keys and passwords from the start.
    if let Err(error) = confinement::hide_memory() {
        return exit_code(Err(error));
    }
    match settings::files::read(&Cli::command()) {
        Ok(found) => found
            .iter()
            .for_each(|(name, value)| set_variable(name, value)),
        Err(fault) => return invalid_setting(&fault),
    }
    let cli = Cli::parse();
    match cli.command {
        Command::Isolated(Isolated::Extract(args)) => exit_code(extractor::run(args)),
        Command::Isolated(Isolated::Confinement(probe)) => exit_code(confinement::run(&probe)),
        Command::Normal(command) => run_to_end(command),
    }
}

/// Runs a command on the async runtime.
fn run_to_end(command: Normal) -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let code = runtime.block_on(run(command));
            // A blocked thread must not delay the exit.
            runtime.shutdown_timeout(Duration::from_secs(1));
            code
        }
        Err(error) => exit_code(Err(error.into())),
    }
}

/// Restricts the model to its own threads. By default its library distributes each step over a thread pool of the
/// process and spins until all are done, so a search would wait for threads that only get the processor when it
/// is otherwise idle.
fn limit_model_threads() {
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        set_variable("CANDLE_NUM_THREADS", "1");
    }
}

/// Sets an environment variable, which is how the library of models and clap take what does not come from the outside.
#[expect(unsafe_code, reason = "no other thread may read the environment")]
fn set_variable(name: &str, value: &str) {
    // SAFETY: `main` calls this before it starts any other thread.
    unsafe { std::env::set_var(name, value) }
}

async fn run(command: Normal) -> ExitCode {
    let outcome = match command {
        Normal::Serve(settings) => match settings.check() {
            Ok(()) => serve(*settings).await,
            Err(fault) => return invalid_setting(&fault),
        },
        Normal::CheckConfig(settings) => match settings.check() {
            Ok(()) => check_config(*settings).await,
            Err(fault) => return invalid_setting(&fault),
        },
        Normal::RotateSecrets(settings) => match settings.check() {
            Ok(()) => rotate_secrets(*settings).await,
            Err(fault) => return invalid_setting(&fault),
        },
        Normal::Health(command) => command.run().await,
        Normal::Migrate(settings) => migrate(&settings.database_owner_url).await,
        Normal::Index(command) => index(&command).await,
        Normal::Distribute(settings) => distribute(&settings.database_owner_url).await,
        Normal::Openapi => print_document(),
    };
    exit_code(outcome)
}

fn exit_code(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("patchbay-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn invalid_setting(fault: &str) -> ExitCode {
    eprintln!("patchbay-api: {fault}");
    ExitCode::from(EXIT_INVALID_SETTING)
}

fn print_document() -> anyhow::Result<()> {
    let document = serde_json::to_string_pretty(&routes::api().document())?;
    println!("{document}");
    Ok(())
}

async fn migrate(url: &str) -> anyhow::Result<()> {
    let done = migrations::run(url).await.context("DATABASE_OWNER_URL")?;
    match done.len() {
        0 => println!("The database is up to date."),
        count => println!("Ran {count} migrations: {}.", done.join(", ")),
    }
    Ok(())
}

async fn distribute(url: &str) -> anyhow::Result<()> {
    let done = distribute::run(url).await.context("DATABASE_OWNER_URL")?;
    match done.len() {
        0 => println!("All tables are distributed."),
        count => println!("Distributed {count} tables: {}.", done.join(", ")),
    }
    Ok(())
}

async fn index(command: &IndexCommand) -> anyhow::Result<()> {
    let (url, exact_chunks) = (
        &command.owner.database_owner_url,
        command.index.search_exact_chunks,
    );
    let (mut steps, mut failed) = (0, 0);
    let report = |step| {
        steps += 1;
        match step {
            Step::Making(tenant, chunks) => {
                println!("Creating the index of tenant {tenant} ({chunks} chunks) …")
            }
            Step::Dropped(name) => println!("Dropped the index {name}: it is no longer needed."),
            Step::Failed(tenant, why) => {
                failed += 1;
                eprintln!("The index of tenant {tenant} could not be created: {why}");
            }
        }
    };
    hnsw::maintain(url, exact_chunks, report)
        .await
        .context("DATABASE_OWNER_URL")?;
    anyhow::ensure!(failed == 0, "{failed} indexes could not be created");
    match steps {
        0 => println!(
            "Nothing to do: no tenant has more than {exact_chunks} chunks without an index."
        ),
        _ => println!("Done."),
    }
    Ok(())
}

async fn rotate_secrets(settings: Settings) -> anyhow::Result<()> {
    let app = App::new(settings, Clock::system())?;
    let count = secrets::rotate(&app.service).await?;
    println!("Re-encrypted {count} secrets. All keys but the first can now be removed.");
    Ok(())
}

async fn check_config(settings: Settings) -> anyhow::Result<()> {
    let app = App::new(settings, Clock::system())?;
    for check in checks::run_all(&app.service).await {
        if let Some(fault) = check.fault {
            return Err(fault.cause);
        }
    }
    database_role::require_confined(&app.service).await?;
    let route = database_route::describe(&app.service).await?;
    println!("The settings are valid, and all services respond.");
    println!("{route}");
    match app.service.db.encryption().await? {
        Some(version) => println!("The connection to PostgreSQL is encrypted ({version})."),
        None => {
            println!("The connection to PostgreSQL is not encrypted (sslmode in DATABASE_URL).")
        }
    }
    match confinement::run_probe(&app.settings.service.knowledge.program()).await {
        Ok(found) => println!("On this machine, {found}."),
        Err(error) => println!("The confinement of extraction could not be determined: {error:#}."),
    }
    Ok(())
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let telemetry = telemetry::init(&settings)?;
    process_metrics::observe(migrations::newest(), settings.service.database.pool_size);
    let allow_bypass = settings.allow_rls_bypass;
    let app = Arc::new(App::new(settings, Clock::system())?);
    let service = &app.service;
    let is_role_checked = database_role::reject_bypassing(service, allow_bypass).await?;
    if app.settings.operator_key.is_empty() {
        tracing::warn!("PATCHBAY_OPERATOR_KEY is not set, so tenants cannot be created");
    }
    confinement::log_layers(&service.settings.knowledge.program()).await;
    let metrics = app.settings.metrics_listen.0;
    let metrics = metrics.map(|address| instruments::serve(address, telemetry.registry.clone()));
    let metrics = metrics.transpose()?;
    let mut server = Server::start(Arc::clone(&app))?;
    tracing::info!(address = %server.address, version = env!("CARGO_PKG_VERSION"), "serving");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let fatal = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        fault = server.wait_for_failure() => Some(fault),
        fault = database_role::wait_for_bypassing(service, allow_bypass), if !is_role_checked => Some(fault),
    };
    if let Some(fault) = &fatal {
        tracing::error!(fault, "the service cannot continue");
    }
    tracing::info!("shutting down: waiting for requests in flight");
    if timeout(SHUTDOWN_TIMEOUT, server.stop(SHUTDOWN_GRACE))
        .await
        .is_err()
    {
        tracing::error!("the shutdown timed out");
    }
    if let Some(metrics) = metrics {
        metrics.stop(false).await;
    }
    let _ = tokio::task::spawn_blocking(move || telemetry.shutdown()).await;
    match fatal {
        Some(fault) => anyhow::bail!(fault),
        None => Ok(()),
    }
}
