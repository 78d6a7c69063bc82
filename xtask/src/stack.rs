//! PostgreSQL, Valkey and livekit-server on loopback, as child processes.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::{
    postgres::Postgres,
    process::{Server, bound, free_port, wait_for},
    secrets::{Secrets, restrict},
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
    /// Of a balancer in front of the api, where workers, webhooks and clients are to reach it instead.
    pub front: Option<u16>,
}

impl Ports {
    /// Any that are free.
    pub const FREE: Self = Self {
        postgres: 0,
        livekit: 0,
        api: 0,
        front: None,
    };
}

/// Running servers and their addresses. They are stopped on drop.
pub struct Stack {
    /// URL of the application role.
    pub database_url: String,
    /// URL of the owner role.
    pub database_owner_url: String,
    /// URL of the superuser, if this process has started PostgreSQL.
    pub superuser_url: Option<String>,
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

impl Stack {
    /// Starts the servers that the environment does not override (`DATABASE_URL`, `LIVEKIT_URL`). LiveKit sends
    /// its webhooks to the api on each of these ports.
    pub fn start(tools: &Tools, folder: &Path, ports: &Ports, webhooks: &[u16]) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let secrets = Secrets::of(folder)?;
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut stack = Self {
            database_url: variable("DATABASE_URL").unwrap_or_default(),
            database_owner_url: variable("DATABASE_OWNER_URL").unwrap_or_default(),
            superuser_url: None,
            livekit_url: variable("LIVEKIT_URL").unwrap_or_default(),
            livekit_key: variable("LIVEKIT_API_KEY").unwrap_or_else(|| LIVEKIT_KEY.to_owned()),
            livekit_secret: variable("LIVEKIT_API_SECRET")
                .unwrap_or_else(|| secrets.get("livekit").to_owned()),
            valkey_port: None,
            folder: folder.to_owned(),
            servers: Vec::new(),
        };
        if stack.database_url.is_empty() {
            let started = Postgres::start(tools, folder, ports.postgres)?;
            stack.database_url = started.url;
            stack.database_owner_url = started.owner_url;
            stack.superuser_url = Some(started.superuser_url);
            stack.servers.push(started.server);
        } else if stack.database_owner_url.is_empty() {
            anyhow::bail!("DATABASE_URL is set: set DATABASE_OWNER_URL too, for the migrations");
        }
        if stack.livekit_url.is_empty() {
            stack.start_livekit(tools, ports.livekit, webhooks)?;
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

    /// Names of the rooms that LiveKit has, which it keeps in Valkey.
    pub fn rooms(&self) -> Result<Vec<String>> {
        let port = self.valkey_port.context("LiveKit is not ours")?;
        let mut valkey = TcpStream::connect(("127.0.0.1", port))?;
        valkey.write_all(b"HKEYS rooms\r\nQUIT\r\n")?;
        let mut response = String::new();
        valkey.read_to_string(&mut response)?;
        // Each name is behind its length, which begins with a `$`.
        let lines = response.lines().collect::<Vec<_>>();
        let names = lines.windows(2).filter(|pair| pair[0].starts_with('$'));
        Ok(names.map(|pair| pair[1].to_owned()).collect())
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

    fn start_livekit(&mut self, tools: &Tools, preferred: u16, webhooks: &[u16]) -> Result<()> {
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
        let url = |port: &u16| format!("http://127.0.0.1:{port}/api/livekit/webhooks");
        let webhooks: Vec<_> = webhooks.iter().map(url).collect();
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
                "urls": webhooks,
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
