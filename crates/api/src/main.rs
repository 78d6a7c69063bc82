//! The binary: `patchbay-api serve | migrate | index | check-config | rotate-secrets | openapi`.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use patchbay_api::{
    app::App,
    routes,
    server::Server,
    settings::{IndexCommand, OwnerSettings, Settings},
    telemetry,
};
use patchbay_domain::Clock;
use patchbay_persistence::{
    hnsw::{self, Step},
    migrations,
};
use patchbay_service::{
    checks,
    knowledge::{confinement, extractor},
    secrets,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

/// Control plane for voice AI agents on LiveKit.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API.
    Serve(Box<Settings>),
    /// Bring the database up to date, as its owner.
    Migrate(OwnerSettings),
    /// Make and drop the search indexes of tenants with many chunks, as the database's owner.
    Index(IndexCommand),
    /// Check the settings and what they point at, and say what is wrong.
    CheckConfig(Box<Settings>),
    /// Seal all secrets anew with the first of PATCHBAY_SECRET_KEYS.
    RotateSecrets(Box<Settings>),
    /// Get the text out of a file: from standard input to standard output, within limits.
    #[command(hide = true)]
    Extract(extractor::Task),
    /// Confine this process as `extract` does, and try what it must not be able to do.
    #[command(hide = true)]
    Confinement(confinement::Probe),
    /// Print the OpenAPI document.
    Openapi,
}

/// A setting is wrong.
const WRONG_SETTING: u8 = 2;
/// How long readiness fails before requests are refused.
const GRACE: Duration = Duration::from_millis(500);
/// How long the end may take, whatever hangs.
const LONGEST_END: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    settle_threads();
    // Keys and passwords are in this process's memory and environment from the first moment on.
    if let Err(error) = confinement::hide_memory() {
        return ended(Err(error));
    }
    let cli = Cli::parse();
    // They have neither runtime nor network: what they do is done as those who read what strangers have made.
    match cli.command {
        Command::Extract(task) => return ended(extractor::work(task)),
        Command::Confinement(probe) => return ended(confinement::run(&probe)),
        _ => {}
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let code = runtime.block_on(run(cli.command));
            // What blocks a thread must not keep the process.
            runtime.shutdown_timeout(Duration::from_secs(1));
            code
        }
        Err(error) => ended(Err(error.into())),
    }
}

/// Has the model computed by its own threads alone. By default its library shares each step out to a pool of
/// the process and spins until all are done, so that a search would wait for threads that only run while
/// nobody else wants the processor.
fn settle_threads() {
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        #[expect(unsafe_code, reason = "the library reads nothing but the environment")]
        // SAFETY: `main` calls this before there is any other thread.
        unsafe {
            std::env::set_var("CANDLE_NUM_THREADS", "1");
        }
    }
}

async fn run(command: Command) -> ExitCode {
    let outcome = match command {
        Command::Serve(settings) => match settings.check() {
            Ok(()) => serve(*settings).await,
            Err(fault) => return wrong_setting(&fault),
        },
        Command::CheckConfig(settings) => match settings.check() {
            Ok(()) => check_config(*settings).await,
            Err(fault) => return wrong_setting(&fault),
        },
        Command::RotateSecrets(settings) => match settings.check() {
            Ok(()) => rotate_secrets(*settings).await,
            Err(fault) => return wrong_setting(&fault),
        },
        Command::Migrate(settings) => migrate(&settings.database_owner_url).await,
        Command::Index(command) => index(&command).await,
        Command::Extract(task) => extractor::work(task),
        Command::Confinement(probe) => confinement::run(&probe),
        Command::Openapi => print_document(),
    };
    ended(outcome)
}

fn ended(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("patchbay-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn wrong_setting(fault: &str) -> ExitCode {
    eprintln!("patchbay-api: {fault}");
    ExitCode::from(WRONG_SETTING)
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

async fn index(command: &IndexCommand) -> anyhow::Result<()> {
    let (url, most) = (
        &command.owner.database_owner_url,
        command.index.search_exact_chunks,
    );
    let (mut steps, mut failed) = (0, 0);
    let report = |step| {
        steps += 1;
        match step {
            Step::Making(tenant, chunks) => {
                println!("Making the index of tenant {tenant}: {chunks} chunks …")
            }
            Step::Dropped(name) => println!("Dropped {name}: nobody needs it any more."),
            Step::Failed(tenant, why) => {
                failed += 1;
                eprintln!("The index of tenant {tenant} could not be made: {why}");
            }
        }
    };
    hnsw::maintain(url, most, report)
        .await
        .context("DATABASE_OWNER_URL")?;
    anyhow::ensure!(failed == 0, "{failed} indexes could not be made");
    match steps {
        0 => println!("Nothing to do: no tenant has more than {most} chunks without an index."),
        _ => println!("Done."),
    }
    Ok(())
}

async fn rotate_secrets(settings: Settings) -> anyhow::Result<()> {
    let app = App::new(settings, Clock::system())?;
    let count = secrets::rotate(&app.service).await?;
    println!("Sealed {count} secrets anew; keys after the first can be taken out of the ring.");
    Ok(())
}

async fn check_config(settings: Settings) -> anyhow::Result<()> {
    let app = App::new(settings, Clock::system())?;
    for check in checks::all(&app.service).await {
        if let Some(fault) = check.fault {
            return Err(fault.cause);
        }
    }
    if let Some(role) = app.service.db.bypassing_role().await? {
        anyhow::bail!("DATABASE_URL: the role {role} bypasses row-level security");
    }
    println!("The settings are good, and what they point at answers.");
    match confinement::run_probe(&app.settings.service.knowledge.program()).await {
        Ok(found) => println!("On this machine {found}."),
        Err(error) => println!("How extraction is confined could not be found out: {error:#}."),
    }
    Ok(())
}

/// Says how far from everything a process is that reads what strangers have made.
async fn log_confinement(settings: &Settings) {
    match confinement::run_probe(&settings.service.knowledge.program()).await {
        Ok(found) if found.possible().is_empty() && found.missing().is_empty() => {
            tracing::info!(confinement = %found, "extraction is confined");
        }
        Ok(found) => tracing::warn!(confinement = %found, "extraction is not wholly confined"),
        Err(error) => {
            tracing::warn!(error = %format!("{error:#}"), "how extraction is confined could not be found out");
        }
    }
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let traces = telemetry::init(&settings)?;
    let app = Arc::new(App::new(settings, Clock::system())?);
    let is_role_known = refuse_bypass(&app).await?;
    if app.settings.operator_key.is_empty() {
        tracing::warn!("PATCHBAY_OPERATOR_KEY is not set: nobody can create tenants");
    }
    log_confinement(&app.settings).await;
    let mut server = Server::start(Arc::clone(&app))?;
    tracing::info!(address = %server.address, version = env!("CARGO_PKG_VERSION"), "serving");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let broken = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        fault = server.broken() => Some(fault),
        role = bypassing_later(&app), if !is_role_known => Some(bypasses(&role)),
    };
    if let Some(fault) = &broken {
        tracing::error!(fault, "the service cannot go on");
    }
    tracing::info!("ending: requests in flight finish");
    if timeout(LONGEST_END, server.stop(GRACE)).await.is_err() {
        tracing::error!("not everything came to its end in time");
    }
    if let Some(traces) = traces {
        let _ = tokio::task::spawn_blocking(move || traces.shutdown()).await;
    }
    match broken {
        Some(fault) => anyhow::bail!(fault),
        None => Ok(()),
    }
}

/// A role that bypasses row-level security would take the second lock off every tenant's door. False where
/// the database cannot be asked yet.
async fn refuse_bypass(app: &App) -> anyhow::Result<bool> {
    match app.service.db.bypassing_role().await {
        Ok(Some(role)) if app.settings.allow_rls_bypass => {
            tracing::warn!(
                role,
                "ROW-LEVEL SECURITY IS BYPASSED by this role: development only"
            );
            Ok(true)
        }
        Ok(Some(role)) => anyhow::bail!(bypasses(&role)),
        Ok(None) => Ok(true),
        // Readiness will tell; the service waits for its database rather than dying of it.
        Err(error) => {
            tracing::warn!(%error, "the database cannot be asked yet");
            Ok(false)
        }
    }
}

fn bypasses(role: &str) -> String {
    format!(
        "DATABASE_URL: the role {role} bypasses row-level security; use a member of {}",
        migrations::APPLICATION_ROLE
    )
}

/// The same as soon as the database answers; resolves only with a role that is refused.
async fn bypassing_later(app: &App) -> String {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        match app.service.db.bypassing_role().await {
            Ok(Some(role)) if !app.settings.allow_rls_bypass => return role,
            Ok(_) => std::future::pending().await,
            Err(_) => {}
        }
    }
}
