//! The command that tells whether the service of this machine is healthy, for containers and units.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Deserialize;

/// Longer than the checks of readiness take, as a rule, when what they ask does not respond.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of `health`.
#[derive(Args)]
pub struct HealthCommand {
    /// Address and port that the service listens on.
    #[arg(long, env = "PATCHBAY_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Only whether the process responds, whatever the services are that it needs.
    #[arg(long)]
    live: bool,
}

/// The part of the readiness check that says what is down.
#[derive(Deserialize)]
struct Readiness {
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    status: String,
}

impl HealthCommand {
    /// Fails unless the service is ready; the error names what is down.
    pub async fn run(&self) -> anyhow::Result<()> {
        let path = if self.live {
            "/health"
        } else {
            "/health/ready"
        };
        let url = format!("http://{}{path}", reachable(self.listen));
        let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy();
        let response = client.build()?.get(&url).send().await;
        let response = response.with_context(|| format!("{url} does not respond"))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let Ok(readiness) = response.json::<Readiness>().await else {
            bail!("{url} responds with {status}");
        };
        let down = readiness.checks.iter().filter(|check| check.status != "ok");
        let down: Vec<_> = down.map(|check| &*check.name).collect();
        if down.is_empty() {
            bail!("it is shutting down");
        }
        bail!("not ready: {}", down.join(", "))
    }
}

/// The address at which a listener is reached from its own machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
