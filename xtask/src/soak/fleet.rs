//! Several processes on one database behind a balancer.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};

use super::balancer::Balancer;
use crate::{
    dev::{self, Running},
    process::{Server, free_port, wait_for},
    seed::Client,
    stack::Ports,
    tools::Tools,
};

/// No limits, as all clients have one key.
pub const UNLIMITED: &str = "reads=0,writes=0,starts=0";
/// Settings of the drills.
pub const SETTINGS: [(&str, &str); 5] = [
    ("PATCHBAY_KEY_LIMITS", UNLIMITED),
    ("PATCHBAY_TENANT_LIMITS", UNLIMITED),
    // An agent that comes late because this machine is busy is not replaced, so that each session has one.
    ("PATCHBAY_START_DEADLINE", "10m"),
    ("PATCHBAY_JOIN_DEADLINE", "10m"),
    // Each response, with its status.
    ("PATCHBAY_LOG", "info"),
];
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A stack whose api is several processes. Workers, webhooks and clients reach them through the balancer.
pub struct Fleet {
    /// The stack, with the first process as its api.
    pub running: Running,
    others: Vec<Server>,
    ports: Vec<u16>,
    /// What is in front of them.
    pub balancer: Balancer,
}

impl Fleet {
    /// Starts a stack with one process.
    pub fn start(
        tools: &Tools,
        folder: &Path,
        binary: &Path,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let balancer = Balancer::start()?;
        let port = free_port("the api", 0)?;
        balancer.add(port);
        let ports = Ports {
            api: port,
            front: Some(balancer.port),
            ..Ports::FREE
        };
        let running = dev::start_binary(tools, folder, &ports, binary, settings)?;
        Ok(Self {
            running,
            others: Vec::new(),
            ports: vec![port],
            balancer,
        })
    }

    /// Starts another process, and waits until it gets connections.
    pub fn add(&mut self) -> Result<()> {
        let port = free_port("the api", 0)?;
        let log = format!("api-{}.log", self.ports.len() + 1);
        let listen = format!("127.0.0.1:{port}");
        let settings = [("PATCHBAY_LISTEN", &*listen)];
        let log = self.running.stack.folder.join(log);
        self.others.push(self.running.api.again(&settings, &log)?);
        self.ports.push(port);
        self.balancer.add(port);
        self.wait_until_ready(self.ports.len() - 1)
    }

    /// A process.
    pub fn server(&mut self, index: usize) -> &mut Server {
        match index {
            0 => &mut self.running.api,
            _ => &mut self.others[index - 1],
        }
    }

    /// LiveKit, if it is this process's.
    pub fn livekit(&self) -> Result<&Server> {
        let servers = &self.running.stack.servers;
        let livekit = servers.iter().find(|server| server.name() == "LiveKit");
        livekit.context("LIVEKIT_URL is set: a drill needs a LiveKit of its own")
    }

    /// The address of a process, past the balancer.
    pub fn base(&self, index: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[index])
    }

    /// Whether the balancer gives connections to the process.
    pub fn is_ready(&self, index: usize) -> bool {
        self.balancer.is_ready(self.ports[index])
    }

    /// Waits until the process is ready and the balancer gives connections to it.
    pub fn wait_until_ready(&mut self, index: usize) -> Result<()> {
        let (port, process) = (self.ports[index], Client::new(&self.base(index), ""));
        let server = match index {
            0 => &mut self.running.api,
            _ => &mut self.others[index - 1],
        };
        let log = server.log().to_owned();
        let balancer = &self.balancer;
        wait_for("the api", READY_WITHIN, &log, server, || {
            process.get("/health/ready").is_ok() && balancer.is_ready(port)
        })
    }
}
