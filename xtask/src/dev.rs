//! `cargo xtask dev`: a complete development stack, until Ctrl-C.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde_json::json;

use crate::{
    cache,
    phone::{self, Phone},
    process::{
        self, STACK, Server, bound, catch_signals, free_port, interrupted, run_quiet, wait_for,
    },
    secrets::Secrets,
    seed::{self, Client, Seeded, text},
    stack::{Ports, Stack},
    tools::{self, Tools},
};

/// Pages that may call a development stack.
const LOCAL_ORIGINS: &str = "http://localhost:*,http://127.0.0.1:*";

/// A running development stack. Fields are dropped in their order.
pub struct Running {
    telephone: Option<Phone>,
    /// The agent worker.
    pub worker: Server,
    /// The api.
    pub api: Server,
    scripted: Server,
    /// The servers.
    pub stack: Stack,
    /// Base URL of the api.
    pub base: String,
    /// URL of the scripted providers and their shop.
    pub scripted_url: String,
    /// The operator's key.
    pub operator_key: String,
    /// The workers' key.
    pub worker_key: String,
}

impl Running {
    /// Kills the api as a crash would, restarts it and waits until it is ready.
    pub fn restart_api(&mut self) -> Result<()> {
        self.api.restart(false)?;
        let client = Client::new(&self.base, "");
        let (log, patience) = (self.stack.folder.join("api.log"), Duration::from_secs(30));
        wait_for("the api", patience, &log, &mut self.api, || {
            client.get("/health/ready").is_ok()
        })
    }

    /// The port of the phone that answers, if there is one.
    pub fn telephone_port(&self) -> Option<u16> {
        self.telephone.as_ref().map(|phone| phone.peer_port)
    }

    /// Process id of the api.
    pub fn api_pid(&self) -> u32 {
        self.api.pid()
    }
}

/// Builds the binary.
pub fn build() -> Result<()> {
    let mut build = process::cargo(&["build", "--workspace"]);
    process::run("building patchbay-api", &mut build)
}

/// Path of the binary of a profile (`debug`, `dist` or `profiling`).
pub fn binary(profile: &str) -> PathBuf {
    target().join(profile).join("patchbay-api")
}

/// The folder of what Cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| cache::repository().join("target"), PathBuf::from)
}

/// Starts PostgreSQL, Valkey, LiveKit, the api and the worker.
pub fn start(tools: &Tools, folder: &Path, ports: &Ports) -> Result<Running> {
    let pretty = [("PATCHBAY_LOG_FORMAT", "pretty")];
    start_binary(tools, folder, ports, &binary("debug"), &pretty)
}

/// The same with this binary and these settings.
pub fn start_binary(
    tools: &Tools,
    folder: &Path,
    ports: &Ports,
    binary: &Path,
    settings: &[(&str, &str)],
) -> Result<Running> {
    let api_port = free_port("the api", ports.api)?;
    // Through a balancer each event comes twice, mostly to two processes at the same time.
    let webhooks = ports.front.map_or(vec![api_port], |front| vec![front; 2]);
    let stack = Stack::start(tools, folder, ports, &webhooks)?;
    let secrets = Secrets::of(folder)?;
    migrate(binary, &stack.database_owner_url)?;
    let (scripted, scripted_url) = start_scripted(tools, folder)?;
    let base = format!("http://127.0.0.1:{}", ports.front.unwrap_or(api_port));
    let log = folder.join("api.log");
    let mut command = bound(binary);
    command
        .arg("serve")
        .env("DATABASE_URL", &stack.database_url)
        .env("LIVEKIT_URL", &stack.livekit_url)
        .env("LIVEKIT_API_KEY", &stack.livekit_key)
        .env("LIVEKIT_API_SECRET", &stack.livekit_secret)
        .env("PATCHBAY_LISTEN", format!("127.0.0.1:{api_port}"))
        .env(STACK.0, STACK.1)
        // Any free one, as several processes may run on this machine; the log has it.
        .env("PATCHBAY_METRICS_LISTEN", "127.0.0.1:0")
        .env("PATCHBAY_CORS_ORIGINS", LOCAL_ORIGINS)
        .env("PATCHBAY_OPERATOR_KEY", secrets.get("operator"))
        .env("PATCHBAY_WORKER_KEY", secrets.get("worker"))
        .env("PATCHBAY_SECRET_KEYS", secrets.sealing_key())
        .env("PATCHBAY_ALLOW_RLS_BYPASS", "true")
        .env("PATCHBAY_PROVIDER_URLS", format!("{scripted_url}/v1"))
        .env("PATCHBAY_OUTBOUND_ALLOW", "127.0.0.0/8")
        .env("PATCHBAY_STORAGE_DIRECTORY", folder.join("objects"))
        .env("PATCHBAY_EMBEDDING_DIRECTORY", &tools.model)
        .envs(settings.iter().copied());
    let mut api = Server::start("the api", &mut command, &log)?;
    let client = Client::new(&base, "");
    wait_for("the api", Duration::from_secs(30), &log, &mut api, || {
        client.get("/health/ready").is_ok()
    })?;
    let worker = start_worker(tools, &stack, &secrets, folder, &base)?;
    let telephone = phone::start(&stack, folder, if ports.api == 0 { 0 } else { 5060 })?;
    Ok(Running {
        telephone,
        worker,
        api,
        scripted,
        stack,
        base,
        scripted_url,
        operator_key: secrets.get("operator").to_owned(),
        worker_key: secrets.get("worker").to_owned(),
    })
}

/// Runs the migrations that this binary knows.
pub fn migrate(binary: &Path, database_owner_url: &str) -> Result<()> {
    run_quiet(
        "patchbay-api migrate",
        Command::new(binary)
            .arg("migrate")
            .env("DATABASE_OWNER_URL", database_owner_url),
    )
}

/// Scripted providers, and a shop for tools: no key is needed.
fn start_scripted(tools: &Tools, folder: &Path) -> Result<(Server, String)> {
    let port = free_port("the scripted providers", 8090)?;
    let log = folder.join("scripted.log");
    let mut command = bound(&tools.python);
    command
        .arg("-B")
        .arg(cache::repository().join("xtask/client/scripted_providers.py"))
        .arg(port.to_string());
    let mut server = Server::start("the scripted providers", &mut command, &log)?;
    let listens = || fs::read_to_string(&log).is_ok_and(|text| text.contains("listening"));
    let patience = Duration::from_secs(30);
    wait_for(
        "the scripted providers",
        patience,
        &log,
        &mut server,
        listens,
    )?;
    Ok((server, format!("http://127.0.0.1:{port}")))
}

fn start_worker(
    tools: &Tools,
    stack: &Stack,
    secrets: &Secrets,
    folder: &Path,
    base: &str,
) -> Result<Server> {
    let log = folder.join("worker.log");
    let mut command = bound(&tools.python);
    command
        .arg(cache::repository().join("deploy/agent-worker/worker.py"))
        .arg("start")
        .env("LIVEKIT_URL", &stack.livekit_url)
        .env("LIVEKIT_API_KEY", &stack.livekit_key)
        .env("LIVEKIT_API_SECRET", &stack.livekit_secret)
        .env("PATCHBAY_URL", base)
        .env("PATCHBAY_WORKER_KEY", secrets.get("worker"))
        .env("PATCHBAY_DRAIN_SECONDS", "1")
        // Threads, which need less memory and start sooner; a deployment uses processes.
        .env("PATCHBAY_WORKER_EXECUTOR", "thread");
    let mut worker = Server::start("the agent worker", &mut command, &log)?;
    wait_for(
        "the agent worker",
        Duration::from_secs(60),
        &log,
        &mut worker,
        || fs::read_to_string(&log).is_ok_and(|text| text.contains("registered worker")),
    )?;
    Ok(worker)
}

/// The command.
pub fn run(fresh: bool) -> Result<()> {
    let started = Instant::now();
    catch_signals()?;
    let tools = tools::ensure(build)?;
    let folder = cache::directory()?.join("dev");
    let _lock = fs::create_dir_all(&folder)
        .map_err(Into::into)
        .and_then(|()| cache::lock("dev"))?;
    if fresh {
        fs::remove_dir_all(&folder)?;
    }
    let ports = Ports {
        postgres: 15432,
        livekit: 7880,
        api: 8080,
        front: None,
    };
    let mut running = start(&tools, &folder, &ports)?;
    let demo = demo_tenant(&running, &folder)?;
    let telephone = telephone(&running, &demo)?;
    let state = json!({
        "base": running.base, "operator_key": running.operator_key, "scripted_url": running.scripted_url,
        "telephone_port": running.telephone_port(),
    });
    fs::write(folder.join("running.json"), state.to_string())?;
    print_welcome(&running, &demo, &telephone, started.elapsed());
    let ended = watch(&mut running);
    println!("\n· ending");
    fs::remove_file(folder.join("running.json"))?;
    drop(running);
    match ended {
        Some(obituary) => bail!("{obituary}"),
        None => Ok(()),
    }
}

/// Waits for Ctrl-C, or for a server that ends unexpectedly, and says how that ended.
fn watch(running: &mut Running) -> Option<String> {
    while !interrupted() {
        let servers = running.stack.servers.iter_mut().chain([
            &mut running.api,
            &mut running.worker,
            &mut running.scripted,
        ]);
        let servers = servers.chain(running.telephone.iter_mut().flat_map(|p| &mut p.servers));
        let ended = servers.filter_map(Server::obituary).next();
        if ended.is_some() {
            return ended;
        }
        thread::sleep(Duration::from_millis(200));
    }
    None
}

/// The demo tenant of this data folder, which is created once.
fn demo_tenant(running: &Running, folder: &Path) -> Result<Seeded> {
    let file = folder.join("demo.json");
    if let Ok(known) = fs::read_to_string(&file) {
        let known: serde_json::Value = serde_json::from_str(&known)?;
        let seeded = Seeded {
            tenant: text(&known, "/tenant")?.to_owned(),
            key: text(&known, "/key")?.to_owned(),
            agent: text(&known, "/agent")?.to_owned(),
        };
        let client = Client::new(&running.base, &seeded.key);
        if client.get("/api/whoami").is_ok() {
            return Ok(seeded);
        }
    }
    let slug = format!("demo-{}", std::process::id());
    let seeded = seed::seed(&running.base, &running.operator_key, &slug)?;
    let Seeded { tenant, key, agent } = &seeded;
    fs::write(
        &file,
        json!({ "tenant": tenant, "key": key, "agent": agent }).to_string(),
    )?;
    Ok(seeded)
}

/// Creates the demo tenant's trunk to the phone; returns a line for the terminal.
fn telephone(running: &Running, demo: &Seeded) -> Result<String> {
    Ok(match (&running.telephone, phone::missing()) {
        (Some(phone), _) => {
            let trunk = phone::trunk(&running.base, demo, phone.peer_port)?;
            let Phone { sip_port, .. } = phone;
            format!("sip:127.0.0.1:{sip_port}; trunk {trunk} leads to a telephone that answers")
        }
        (None, Some(missing)) => format!("none rings: {missing}"),
        (None, None) => "none: LiveKit is your own".to_owned(),
    })
}

fn print_welcome(running: &Running, demo: &Seeded, telephone: &str, took: Duration) {
    let Running {
        base,
        scripted_url,
        operator_key,
        stack,
        ..
    } = running;
    let Seeded { tenant, key, agent } = demo;
    println!(
        "
Patchbay is up after {:.1} s.

  API            {base}
  Documentation  {base}/docs/
  Browsers       any page on localhost may call the API ({LOCAL_ORIGINS})
  LiveKit        {}
  Shop           {scripted_url}/shop (for tools to call; {scripted_url}/v1 are providers that follow a script)
  Telephone      {telephone}
  Logs           {}
  Operator key   {operator_key}
  Demo tenant    {tenant}
  Its admin key  {key}

Start a session, and get a token to join it with:

  export KEY={key}
  curl -s {base}/api/tenants/{tenant}/sessions -H \"authorization: Bearer $KEY\" -H 'content-type: application/json' \\
    -d '{{\"agent_id\": \"{agent}\", \"variables\": {{\"company\": \"Acme\"}}, \"start\": true}}'
  curl -s {base}/api/tenants/{tenant}/tokens -H \"authorization: Bearer $KEY\" -H 'content-type: application/json' \\
    -d '{{\"session_id\": \"<id of the session>\"}}'

`cargo xtask demo` in another terminal shows the main use cases. Ctrl-C ends everything; the data stay.",
        took.as_secs_f64(),
        stack.livekit_url,
        stack.folder.display(),
    );
}
