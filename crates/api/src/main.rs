//! The binary: `patchbay-api serve | migrate | index | check-config | rotate-secrets | openapi`.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use patchbay_api::{
    app::App,
    flows::extraction,
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
use tokio::signal::unix::{SignalKind, signal};

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
    Extract(extraction::Task),
    /// Print the OpenAPI document.
    Openapi,
}

/// A setting is wrong.
const WRONG_SETTING: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // It has neither runtime nor network: it reads what strangers have made.
    if let Command::Extract(task) = cli.command {
        return ended(extraction::work(task));
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run(cli.command)),
        Err(error) => ended(Err(error.into())),
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
        Command::Extract(task) => extraction::work(task),
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
    let tell = |step| {
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
    hnsw::maintain(url, most, tell)
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
    let count = patchbay_api::flows::secrets::rotate(&app).await?;
    println!("Sealed {count} secrets anew; keys after the first can be taken out of the ring.");
    Ok(())
}

async fn check_config(settings: Settings) -> anyhow::Result<()> {
    let app = App::new(settings, Clock::system())?;
    app.db.ping().await.context("DATABASE_URL")?;
    if let Some(role) = app.db.bypassing_role().await? {
        anyhow::bail!("DATABASE_URL: the role {role} bypasses row-level security");
    }
    let pending = migrations::pending(&app.db).await.context("DATABASE_URL")?;
    anyhow::ensure!(
        pending.is_empty(),
        "DATABASE_URL: migrations are pending ({}); run `patchbay-api migrate`",
        pending.join(", ")
    );
    let probe = vec!["readiness-probe".to_owned()];
    app.livekit.list_rooms(probe).await.context("LIVEKIT_URL")?;
    if let Some(store) = &app.store {
        store.ping().await.context("the object store")?;
    }
    println!("The settings are good, and what they point at answers.");
    Ok(())
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let traces = telemetry::init(&settings)?;
    let app = Arc::new(App::new(settings, Clock::system())?);
    refuse_bypass(&app).await?;
    if app.settings.operator_key.is_empty() {
        tracing::warn!("PATCHBAY_OPERATOR_KEY is not set: nobody can create tenants");
    }
    let mut server = Server::start(app)?;
    tracing::info!(address = %server.address, version = env!("CARGO_PKG_VERSION"), "serving");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let broken = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        fault = server.broken() => Some(fault),
    };
    tracing::info!("ending: requests in flight finish");
    server.stop(Duration::from_millis(500)).await;
    if let Some(traces) = traces {
        let _ = tokio::task::spawn_blocking(move || traces.shutdown()).await;
    }
    match broken {
        Some(fault) => anyhow::bail!(fault),
        None => Ok(()),
    }
}

/// A role that bypasses row-level security would take the second lock off every tenant's door.
async fn refuse_bypass(app: &Arc<App>) -> anyhow::Result<()> {
    let bypassing = match app.db.bypassing_role().await {
        Ok(bypassing) => bypassing,
        // Readiness will tell; the service waits for its database rather than dying of it.
        Err(error) => {
            tracing::warn!(%error, "the database cannot be asked yet");
            tokio::spawn(refuse_bypass_later(Arc::clone(app)));
            None
        }
    };
    match bypassing {
        Some(role) if app.settings.allow_rls_bypass => {
            tracing::warn!(
                role,
                "ROW-LEVEL SECURITY IS BYPASSED by this role: development only"
            );
            Ok(())
        }
        Some(role) => anyhow::bail!(
            "DATABASE_URL: the role {role} bypasses row-level security; use a member of {}",
            migrations::APPLICATION_ROLE
        ),
        None => Ok(()),
    }
}

/// The same check as soon as the database answers; too late for an error, so the process ends.
async fn refuse_bypass_later(app: Arc<App>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        match app.db.bypassing_role().await {
            Ok(Some(role)) if !app.settings.allow_rls_bypass => {
                tracing::error!(role, "DATABASE_URL: the role bypasses row-level security");
                std::process::exit(1);
            }
            Ok(_) => return,
            Err(_) => {}
        }
    }
}
