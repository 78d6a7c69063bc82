//! Settings. Each is a flag and an environment variable with a documented default.

pub mod files;
mod keys;

use std::{net::SocketAddr, time::Duration};

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use patchbay_domain::limits::Rates;
use patchbay_service::settings::{
    self as service, IndexSettings, Secret, check_url, duration, named_numbers,
};

use crate::{cors::check_origin, instruments::MetricsListen};

/// Format of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Human-readable text.
    Pretty,
}

/// Settings of the commands of the owner of the database.
#[derive(Args, Clone)]
pub struct OwnerSettings {
    /// PostgreSQL URL of the owner role, which runs the migrations. It reaches the server directly.
    #[arg(long, env = "DATABASE_OWNER_URL", hide_env_values = true)]
    pub database_owner_url: String,
}

/// Settings of `index`.
#[derive(Args)]
pub struct IndexCommand {
    /// The owner role.
    #[command(flatten)]
    pub owner: OwnerSettings,
    /// Which tenants need an index.
    #[command(flatten)]
    pub index: IndexSettings,
}

/// Settings of `serve` and `check-config`.
#[derive(Args, Clone)]
pub struct Settings {
    /// Settings of the service.
    #[command(flatten)]
    pub service: service::Settings,
    /// Allow a database role that bypasses row-level security. Development only.
    #[arg(long, env = "PATCHBAY_ALLOW_RLS_BYPASS", default_value_t = false)]
    pub allow_rls_bypass: bool,
    /// Address and port to listen on.
    #[arg(long, env = "PATCHBAY_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Address and port where Prometheus reads metrics, without authentication; `off` for none.
    #[arg(
        long,
        env = "PATCHBAY_METRICS_LISTEN",
        default_value = "127.0.0.1:9464"
    )]
    pub metrics_listen: MetricsListen,
    /// Request threads; 0 for one per core.
    #[arg(long, env = "PATCHBAY_WORKERS", default_value = "0")]
    pub workers: usize,
    /// Key of the operator, at least 32 characters; two, comma-separated, during a rotation. Without it,
    /// tenants cannot be created.
    #[arg(
        long,
        env = "PATCHBAY_OPERATOR_KEY",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub operator_key: Vec<Secret>,
    /// Key of the workers that serve all tenants, at least 32 characters; two, comma-separated, during a
    /// rotation.
    #[arg(
        long,
        env = "PATCHBAY_WORKER_KEY",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub worker_key: Vec<Secret>,
    /// LiveKit agent names that agents may be dispatched to.
    #[arg(
        long,
        env = "PATCHBAY_WORKER_NAMES",
        value_delimiter = ',',
        default_value = "patchbay-agent"
    )]
    pub worker_names: Vec<String>,
    /// Origins that browsers may call from, comma-separated: `https://app.example.com`, `http://localhost:*` for any
    /// port, `*` for any.
    #[arg(long, env = "PATCHBAY_CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<String>,
    /// Maximum size of a JSON body in bytes.
    #[arg(long, env = "PATCHBAY_BODY_LIMIT", default_value = "262144")]
    pub body_limit: usize,
    /// Timeout for receiving a body.
    #[arg(long, env = "PATCHBAY_BODY_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub body_timeout: Duration,
    /// Requests per minute of one key: `reads=…,writes=…,starts=…`; 0 for no limit.
    #[arg(
        long,
        env = "PATCHBAY_KEY_LIMITS",
        default_value = "reads=3000,writes=600,starts=120",
        value_parser = rates
    )]
    pub key_limits: Rates,
    /// Requests per minute of one tenant, unless the operator has set limits for it.
    #[arg(
        long,
        env = "PATCHBAY_TENANT_LIMITS",
        default_value = "reads=6000,writes=1200,starts=240",
        value_parser = rates
    )]
    pub tenant_limits: Rates,
    /// Failed authentications per minute of one address; 0 for no limit.
    #[arg(long, env = "PATCHBAY_ADDRESS_LIMIT", default_value = "120")]
    pub address_limit: u32,
    /// Number of processes that serve this installation; each allows its share of the limits.
    #[arg(long, env = "PATCHBAY_PROCESSES", default_value = "1")]
    pub processes: u32,
    /// Networks of proxies whose X-Forwarded-For is trusted, such as 10.0.0.0/8.
    #[arg(long, env = "PATCHBAY_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<IpNet>,
    /// Base URLs that runtime configs may use instead of the provider's own, comma-separated.
    #[arg(long, env = "PATCHBAY_PROVIDER_URLS", value_delimiter = ',')]
    pub provider_urls: Vec<String>,
    /// Log filter, such as `info` or `patchbay_api=debug,info`.
    #[arg(long, env = "PATCHBAY_LOG", default_value = "info")]
    pub log: String,
    /// Format of logs.
    #[arg(long, env = "PATCHBAY_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// OTLP/HTTP endpoint for traces and metrics, such as http://127.0.0.1:4318; none by default.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
}

fn rates(text: &str) -> Result<Rates, String> {
    let [reads, writes, starts] = named_numbers(text, ["reads", "writes", "starts"])?;
    Ok(Rates {
        reads,
        writes,
        starts,
    })
}

impl Settings {
    /// Number of threads that serve requests.
    pub fn threads(&self) -> std::io::Result<usize> {
        match self.workers {
            0 => Ok(std::thread::available_parallelism()?.get()),
            workers => Ok(workers),
        }
    }

    /// Performs the checks that clap cannot. The error is one line that names the setting.
    pub fn check(&self) -> Result<(), String> {
        self.service.check()?;
        if let Some(endpoint) = &self.otlp_endpoint {
            check_url("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint, &["http", "https"])?;
        }
        for origin in &self.cors_origins {
            check_origin(origin).map_err(|error| format!("PATCHBAY_CORS_ORIGINS: {error}"))?;
        }
        keys::check(&self.operator_key, &self.worker_key)?;
        if self.worker_names.iter().any(|name| name.trim().is_empty()) {
            return Err("PATCHBAY_WORKER_NAMES: a name is empty".to_owned());
        }
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log) {
            return Err(format!("PATCHBAY_LOG: {error}"));
        }
        Ok(())
    }
}
