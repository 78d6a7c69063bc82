//! PostgreSQL, Valkey and livekit-server on loopback, as child processes.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    cache,
    process::{Server, bound, free_port, run_quiet, wait_for},
    tools::Tools,
};

const PATIENCE: Duration = Duration::from_secs(30);
/// The LiveKit API key of development stacks.
pub const LIVEKIT_KEY: &str = "patchbaydev";

/// Preferred ports; 0 for any.
pub struct Ports {
    /// PostgreSQL.
    pub postgres: u16,
    /// LiveKit's API and signalling.
    pub livekit: u16,
    /// The api.
    pub api: u16,
}

impl Ports {
    /// Any that are free.
    pub const FREE: Self = Self {
        postgres: 0,
        livekit: 0,
        api: 0,
    };
}

/// Running servers and their addresses. They are stopped on drop.
pub struct Stack {
    /// URL of the application role.
    pub database_url: String,
    /// URL of the owner role.
    pub database_owner_url: String,
    /// URL of LiveKit.
    pub livekit_url: String,
    /// API key of LiveKit.
    pub livekit_key: String,
    /// API secret of LiveKit.
    pub livekit_secret: String,
    /// Port of LiveKit's Valkey, if this process has started both.
    pub valkey_port: Option<u16>,
    /// Folder of data and logs.
    pub folder: PathBuf,
    /// The servers, in the order in which they are stopped.
    pub servers: Vec<Server>,
}

/// Passwords and keys of a folder's stack: created once, and stored with the data.
pub struct Secrets(Value);

impl Secrets {
    /// The secrets of the folder.
    pub fn of(folder: &Path) -> Result<Self> {
        let file = folder.join("secrets.json");
        let known = fs::read_to_string(&file).unwrap_or_default();
        let known: Value = serde_json::from_str(&known).unwrap_or_default();
        let mut secrets = json!({
            "postgres": random()?, "owner": random()?, "app": random()?,
            "livekit": random()?, "operator": random()?, "worker": random()?,
            "sealing": format!("{}{}", random()?, &random()?[..16]),
        });
        // Older data keep the secrets they have.
        for (name, value) in known.as_object().into_iter().flatten() {
            secrets[name] = value.clone();
        }
        fs::write(&file, secrets.to_string())?;
        restrict(&file)?;
        Ok(Self(secrets))
    }

    /// The key that encrypts tenants' secrets, in the format of the setting.
    pub fn sealing_key(&self) -> String {
        format!("dev:{}", self.get("sealing"))
    }

    /// A secret by name.
    pub fn get(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }
}

fn random() -> Result<String> {
    let mut bytes = [0; 24];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes a file readable only by its owner.
pub fn restrict(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(
        file,
        fs::Permissions::from_mode(0o600),
    )?)
}

impl Stack {
    /// Starts the servers that the environment does not override (`DATABASE_URL`, `LIVEKIT_URL`). LiveKit sends
    /// its webhooks to the api on this port, if there is one.
    pub fn start(
        tools: &Tools,
        folder: &Path,
        ports: &Ports,
        api_port: Option<u16>,
    ) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let secrets = Secrets::of(folder)?;
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut stack = Self {
            database_url: variable("DATABASE_URL").unwrap_or_default(),
            database_owner_url: variable("DATABASE_OWNER_URL").unwrap_or_default(),
            livekit_url: variable("LIVEKIT_URL").unwrap_or_default(),
            livekit_key: variable("LIVEKIT_API_KEY").unwrap_or_else(|| LIVEKIT_KEY.to_owned()),
            livekit_secret: variable("LIVEKIT_API_SECRET")
                .unwrap_or_else(|| secrets.get("livekit").to_owned()),
            valkey_port: None,
            folder: folder.to_owned(),
            servers: Vec::new(),
        };
        if stack.database_url.is_empty() {
            stack.start_postgres(tools, &secrets, ports.postgres)?;
        } else if stack.database_owner_url.is_empty() {
            anyhow::bail!("DATABASE_URL is set: set DATABASE_OWNER_URL too, for the migrations");
        }
        if stack.livekit_url.is_empty() {
            stack.start_livekit(tools, ports.livekit, api_port)?;
        }
        // LiveKit stops before Valkey, and both before PostgreSQL.
        stack.servers.reverse();
        Ok(stack)
    }

    /// Process id of PostgreSQL, if this process has started it.
    pub fn postgres_pid(&self) -> Option<u32> {
        let server = self
            .servers
            .iter()
            .find(|server| server.name() == "PostgreSQL");
        server.map(Server::pid)
    }

    /// Restarts a server: PostgreSQL gracefully, the others as after a crash.
    pub fn restart(&mut self, name: &str) -> Result<()> {
        let server = self.servers.iter_mut().find(|server| server.name() == name);
        let server = server.with_context(|| format!("{name} is not ours to restart"))?;
        server.restart(name == "PostgreSQL")?;
        let url = match name {
            "PostgreSQL" => &self.database_url,
            _ => &self.livekit_url,
        };
        let port = url.rsplit(':').next().unwrap_or_default();
        let port: u16 = port.split('/').next().unwrap_or_default().parse()?;
        let log = server.log().to_owned();
        wait_for(name, PATIENCE, &log, server, || listens(port))
    }

    fn start_postgres(&mut self, tools: &Tools, secrets: &Secrets, preferred: u16) -> Result<()> {
        let port = free_port("PostgreSQL", preferred)?;
        let data = self.folder.join("postgres");
        if !data.join("PG_VERSION").exists() {
            init_postgres(tools, &data, secrets.get("postgres"))?;
        }
        let log = self.folder.join("postgres.log");
        let mut command = as_nobody(tools.postgres.join("postgres"));
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        command.args(["-h", "127.0.0.1", "-k", "", "-c", "max_connections=300"]);
        let mut server = Server::start("PostgreSQL", &mut command, &log)?;
        let superuser = format!(
            "postgres://postgres:{}@127.0.0.1:{port}/postgres",
            secrets.get("postgres")
        );
        let psql = |database: &str, sql: &str| {
            let mut psql = Command::new(tools.postgres.join("psql"));
            psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d"])
                .arg(
                    superuser
                        .replace("/postgres", &format!("/{database}"))
                        .replacen(&format!("/{database}:"), "/postgres:", 1),
                )
                .args(["-c", sql]);
            run_quiet("psql", &mut psql)
        };
        wait_for("PostgreSQL", PATIENCE, &log, &mut server, || {
            psql("postgres", "SELECT 1").is_ok()
        })?;
        self.servers.push(server);
        let (owner, app) = (secrets.get("owner"), secrets.get("app"));
        psql(
            "postgres",
            &format!(
                "DO $$ BEGIN
                 IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'patchbay_owner') THEN
                     CREATE ROLE patchbay_owner LOGIN PASSWORD '{owner}';
                     CREATE ROLE patchbay_app LOGIN PASSWORD '{app}';
                 END IF;
             END $$"
            ),
        )?;
        if psql("patchbay", "SELECT 1").is_err() {
            psql("postgres", "CREATE DATABASE patchbay OWNER patchbay_owner")?;
            psql("patchbay", "CREATE EXTENSION IF NOT EXISTS vector")?;
        }
        self.database_owner_url =
            format!("postgres://patchbay_owner:{owner}@127.0.0.1:{port}/patchbay");
        self.database_url = format!("postgres://patchbay_app:{app}@127.0.0.1:{port}/patchbay");
        Ok(())
    }

    fn start_livekit(
        &mut self,
        tools: &Tools,
        preferred: u16,
        api_port: Option<u16>,
    ) -> Result<()> {
        let valkey_port = free_port("Valkey", 0)?;
        let log = self.folder.join("valkey.log");
        let mut command = bound(&tools.valkey);
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--port"])
            .arg(valkey_port.to_string());
        let mut valkey = Server::start("Valkey", &mut command, &log)?;
        wait_for("Valkey", PATIENCE, &log, &mut valkey, || {
            listens(valkey_port)
        })?;
        self.servers.push(valkey);

        let port = free_port("LiveKit", preferred)?;
        let (udp, tcp) = (free_port("RTC over UDP", 0)?, free_port("RTC over TCP", 0)?);
        let webhooks = api_port.map(|port| format!("http://127.0.0.1:{port}/api/livekit/webhooks"));
        let config = json!({
            "port": port,
            "bind_addresses": ["127.0.0.1"],
            "rtc": {
                "udp_port": udp, "tcp_port": tcp,
                "enable_loopback_candidate": true, "use_external_ip": false,
            },
            "redis": { "address": format!("127.0.0.1:{valkey_port}") },
            "keys": { &*self.livekit_key: self.livekit_secret },
            "webhook": {
                "api_key": self.livekit_key,
                "urls": Vec::from_iter(webhooks),
            },
            "logging": { "level": "info" },
        });
        let file = self.folder.join("livekit.json");
        fs::write(&file, config.to_string())?;
        restrict(&file)?;
        let log = self.folder.join("livekit.log");
        let mut command = bound(&tools.livekit);
        command
            .arg("--config")
            .arg(&file)
            .args(["--node-ip", "127.0.0.1"]);
        let mut livekit = Server::start("LiveKit", &mut command, &log)?;
        wait_for("LiveKit", PATIENCE, &log, &mut livekit, || listens(port))?;
        self.servers.push(livekit);
        self.livekit_url = format!("ws://127.0.0.1:{port}");
        self.valkey_port = Some(valkey_port);
        Ok(())
    }
}

/// Whether something listens on this port.
pub fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// A program that refuses to run as root.
pub fn as_nobody(program: PathBuf) -> Command {
    if cache::is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
            .args(["--pdeathsig", "INT", "--"])
            .arg(program);
        return command;
    }
    bound(program)
}

/// Makes files those of the user of such programs.
pub fn give_to_nobody(files: &[&Path]) -> Result<()> {
    if !cache::is_root() {
        return Ok(());
    }
    let mut chown = Command::new("chown");
    chown.arg("nobody:nogroup").args(files);
    run_quiet("chown", &mut chown)
}

fn init_postgres(tools: &Tools, data: &Path, password: &str) -> Result<()> {
    let _ = fs::remove_dir_all(data);
    fs::create_dir_all(data)?;
    let file = data.with_extension("password");
    fs::File::create(&file)?.write_all(password.as_bytes())?;
    give_to_nobody(&[data, &file])?;
    restrict(&file)?;
    let mut initdb = as_nobody(tools.postgres.join("initdb"));
    initdb
        .arg("-D")
        .arg(data)
        .args([
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-A",
            "scram-sha-256",
        ])
        .arg(format!("--pwfile={}", file.display()))
        .current_dir("/");
    let done = run_quiet("initdb", &mut initdb).context("PostgreSQL's data could not be made");
    fs::remove_file(&file)?;
    done
}
