//! Settings: every one is a flag and an environment variable with a documented default.

mod keys;
mod knowledge;
mod of_service;
mod values;

use std::{net::SocketAddr, time::Duration};

use clap::{Args, ValueEnum};
use patchbay_domain::{
    limits::{CallLimits, Rates},
    session::Timings,
};

pub use knowledge::{IndexSettings, KnowledgeSettings};
pub use values::{Secret, Span};

use patchbay_service::keyring::KeyRing;

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Pretty,
}

/// What `migrate` needs.
#[derive(Args, Clone)]
pub struct OwnerSettings {
    /// PostgreSQL URL of the owner role, which runs the migrations.
    #[arg(long, env = "DATABASE_OWNER_URL", hide_env_values = true)]
    pub database_owner_url: String,
}

/// What `index` needs.
#[derive(Args)]
pub struct IndexCommand {
    /// The owner role.
    #[command(flatten)]
    pub owner: OwnerSettings,
    /// Which tenants want an index.
    #[command(flatten)]
    pub index: IndexSettings,
}

/// What `serve` and `check-config` need.
#[derive(Args, Clone)]
pub struct Settings {
    /// PostgreSQL URL of the application role (member of `patchbay_app`).
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    /// Most connections to PostgreSQL.
    #[arg(long, env = "PATCHBAY_DATABASE_POOL_SIZE", default_value = "16")]
    pub database_pool_size: usize,
    /// How long a request waits for a free connection before it is answered 503.
    #[arg(long, env = "PATCHBAY_DATABASE_POOL_WAIT", default_value = "3s")]
    pub database_pool_wait: Span,
    /// PostgreSQL's statement_timeout.
    #[arg(
        long,
        env = "PATCHBAY_DATABASE_STATEMENT_TIMEOUT",
        default_value = "10s"
    )]
    pub database_statement_timeout: Span,
    /// Serve although the database role bypasses row-level security. Development only.
    #[arg(long, env = "PATCHBAY_ALLOW_RLS_BYPASS", default_value_t = false)]
    pub allow_rls_bypass: bool,

    /// Address and port to listen on.
    #[arg(long, env = "PATCHBAY_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Request threads; 0 for one per core.
    #[arg(long, env = "PATCHBAY_WORKERS", default_value = "0")]
    pub workers: usize,
    /// Name of this installation; the first part of its room names.
    #[arg(long, env = "PATCHBAY_ENV", default_value = "dev", value_parser = env_name)]
    pub env: String,
    /// Key of the operator; at least 32 characters. Two, comma-separated, while one takes the other's
    /// place. Without it nobody can create tenants.
    #[arg(
        long,
        env = "PATCHBAY_OPERATOR_KEY",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub operator_key: Vec<Secret>,
    /// Key of the workers that serve all tenants; at least 32 characters. Two, comma-separated, while
    /// one takes the other's place.
    #[arg(
        long,
        env = "PATCHBAY_WORKER_KEY",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub worker_key: Vec<Secret>,
    /// Keys that secrets are sealed with, the sealing one first: `id:64 hexadecimal digits`,
    /// comma-separated. Without it no secrets can be kept.
    #[arg(long, env = "PATCHBAY_SECRET_KEYS", hide_env_values = true)]
    pub secret_keys: Option<Secret>,
    /// LiveKit agent names that agents may be dispatched to.
    #[arg(
        long,
        env = "PATCHBAY_WORKER_NAMES",
        value_delimiter = ',',
        default_value = "patchbay-agent"
    )]
    pub worker_names: Vec<String>,
    /// Origins that browsers may call from, comma-separated; `*` for any.
    #[arg(long, env = "PATCHBAY_CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<String>,
    /// Most bytes of a JSON body.
    #[arg(long, env = "PATCHBAY_BODY_LIMIT", default_value = "262144")]
    pub body_limit: usize,
    /// How long a body may take to arrive.
    #[arg(long, env = "PATCHBAY_BODY_TIMEOUT", default_value = "10s")]
    pub body_timeout: Span,
    /// Requests per minute of one key: `reads=…,writes=…,starts=…`, 0 for any number.
    #[arg(
        long,
        env = "PATCHBAY_KEY_LIMITS",
        default_value = "reads=3000,writes=600,starts=120",
        value_parser = rates
    )]
    pub key_limits: Rates,
    /// Requests per minute of one tenant, unless the operator gave it limits of its own.
    #[arg(
        long,
        env = "PATCHBAY_TENANT_LIMITS",
        default_value = "reads=6000,writes=1200,starts=240",
        value_parser = rates
    )]
    pub tenant_limits: Rates,
    /// Telephone calls of one tenant, unless the operator gave it limits of its own:
    /// `concurrent=…,per_minute=…,seconds=…`, 0 for any number; `seconds` is the longest call.
    #[arg(
        long,
        env = "PATCHBAY_CALL_LIMITS",
        default_value = "concurrent=20,per_minute=60,seconds=3600",
        value_parser = call_limits
    )]
    pub call_limits: CallLimits,
    /// Sessions of one tenant that are live at a time, those of calls included, unless the operator gave
    /// it a limit of its own; 0 for any number.
    #[arg(long, env = "PATCHBAY_SESSION_LIMIT", default_value = "200")]
    pub session_limit: u32,
    /// Failed authentications per minute of one address; 0 for any number.
    #[arg(long, env = "PATCHBAY_ADDRESS_LIMIT", default_value = "120")]
    pub address_limit: u32,
    /// Processes that serve this installation: each allows its share of the limits.
    #[arg(long, env = "PATCHBAY_PROCESSES", default_value = "1")]
    pub processes: u32,
    /// Networks of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8.
    #[arg(long, env = "PATCHBAY_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// How long an answer is kept for its Idempotency-Key.
    #[arg(long, env = "PATCHBAY_IDEMPOTENCY_RETENTION", default_value = "24h")]
    pub idempotency_retention: Span,
    /// How long an applied webhook event is kept.
    #[arg(long, env = "PATCHBAY_WEBHOOK_RETENTION", default_value = "168h")]
    pub webhook_retention: Span,
    /// How often what has aged out is deleted.
    #[arg(long, env = "PATCHBAY_PURGE_INTERVAL", default_value = "1h")]
    pub purge_interval: Span,

    /// How long a request may take in all before it is answered 503.
    #[arg(long, env = "PATCHBAY_REQUEST_TIMEOUT", default_value = "30s")]
    pub request_timeout: Span,

    /// Networks of your own that tools may call, such as 10.20.0.0/16; the internet alone by default.
    #[arg(long, env = "PATCHBAY_OUTBOUND_ALLOW", value_delimiter = ',')]
    pub outbound_allow: Vec<ipnet::IpNet>,

    /// Base URLs that runtime configs may name instead of the provider's own, comma-separated.
    #[arg(long, env = "PATCHBAY_PROVIDER_URLS", value_delimiter = ',')]
    pub provider_urls: Vec<String>,

    /// URL of LiveKit's server API.
    #[arg(long, env = "LIVEKIT_URL", default_value = "http://127.0.0.1:7880")]
    pub livekit_url: String,
    /// URL that clients are given to join; LIVEKIT_URL by default.
    #[arg(long, env = "LIVEKIT_PUBLIC_URL")]
    pub livekit_public_url: Option<String>,
    /// LiveKit API key.
    #[arg(long, env = "LIVEKIT_API_KEY")]
    pub livekit_api_key: String,
    /// LiveKit API secret; at least 32 characters.
    #[arg(long, env = "LIVEKIT_API_SECRET", hide_env_values = true)]
    pub livekit_api_secret: Secret,
    /// Most time for one call to LiveKit.
    #[arg(long, env = "PATCHBAY_LIVEKIT_TIMEOUT", default_value = "5s")]
    pub livekit_timeout: Span,
    /// How long an empty room waits for its first participant.
    #[arg(long, env = "PATCHBAY_ROOM_EMPTY_TIMEOUT", default_value = "5m")]
    pub room_empty_timeout: Span,
    /// How long a room stays after its last participant has left.
    #[arg(long, env = "PATCHBAY_ROOM_DEPARTURE_TIMEOUT", default_value = "20s")]
    pub room_departure_timeout: Span,

    /// Most participants of a session at a time.
    #[arg(long, env = "PATCHBAY_MAX_PARTICIPANTS", default_value = "50")]
    pub max_participants: u32,

    /// How long a start may take until it fails with livekit_unavailable.
    #[arg(long, env = "PATCHBAY_START_DEADLINE", default_value = "60s")]
    pub start_deadline: Span,
    /// How long an agent may take to join before it is dispatched again, once.
    #[arg(long, env = "PATCHBAY_JOIN_DEADLINE", default_value = "15s")]
    pub join_deadline: Span,
    /// How often to look for an agent that has not joined yet.
    #[arg(long, env = "PATCHBAY_JOIN_POLL", default_value = "2s")]
    pub join_poll: Span,
    /// How long an agent or room may be out of sight before it counts as gone.
    #[arg(long, env = "PATCHBAY_AGENT_GRACE", default_value = "10s")]
    pub agent_grace: Span,
    /// How often a live session is compared with LiveKit.
    #[arg(long, env = "PATCHBAY_RECONCILE_INTERVAL", default_value = "30s")]
    pub reconcile_interval: Span,
    /// How often to look how a telephone call that is not answered yet stands.
    #[arg(long, env = "PATCHBAY_CALL_POLL", default_value = "1s")]
    pub call_poll: Span,
    /// How often to look for due jobs where no notification came.
    #[arg(long, env = "PATCHBAY_JOB_POLL", default_value = "1s")]
    pub job_poll: Span,
    /// How long a job is claimed before another process may take it over.
    #[arg(long, env = "PATCHBAY_JOB_LEASE", default_value = "30s")]
    pub job_lease: Span,
    /// How long start and stop wait for LiveKit before they answer 202.
    #[arg(long, env = "PATCHBAY_START_WAIT", default_value = "10s")]
    pub start_wait: Span,

    /// Files and search.
    #[command(flatten)]
    pub knowledge: KnowledgeSettings,

    /// Log filter, such as `info` or `patchbay_api=debug,info`.
    #[arg(long, env = "PATCHBAY_LOG", default_value = "info")]
    pub log: String,
    /// How logs look.
    #[arg(long, env = "PATCHBAY_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// OTLP/HTTP endpoint for traces, such as http://127.0.0.1:4318; none by default.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,

    /// For tests: abort the process at this point (`after_create_room`, …), or panic there
    /// (`panic:after_create_room`).
    #[cfg(feature = "fault-injection")]
    #[arg(long, env = "PATCHBAY_TEST_CRASH_AT", hide = true)]
    pub crash_at: Option<String>,
}

fn env_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if (1..=32).contains(&text.len()) && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("1 to 32 of a-z and 0-9 are allowed".to_owned())
    }
}

fn rates(text: &str) -> Result<Rates, String> {
    let [reads, writes, starts] = numbers(text, ["reads", "writes", "starts"])?;
    Ok(Rates {
        reads,
        writes,
        starts,
    })
}

fn call_limits(text: &str) -> Result<CallLimits, String> {
    let [concurrent, per_minute, seconds] = numbers(text, ["concurrent", "per_minute", "seconds"])?;
    Ok(CallLimits {
        concurrent,
        per_minute,
        seconds,
    })
}

/// Three named numbers, in their order.
fn numbers(text: &str, names: [&str; 3]) -> Result<[u32; 3], String> {
    let mut parts = text.split(',');
    let mut number = |name: &str| {
        let part = parts.next()?.trim().strip_prefix(name)?;
        part.strip_prefix('=')?.parse().ok()
    };
    let read = names.map(&mut number);
    match (read, parts.next()) {
        ([Some(a), Some(b), Some(c)], None) => Ok([a, b, c]),
        _ => Err(format!(
            "`{}` is the form",
            names.map(|n| format!("{n}=1")).join(",")
        )),
    }
}

impl Settings {
    /// Checks what clap cannot: one line per fault, naming the setting.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [
            ("LIVEKIT_URL", Some(&self.livekit_url)),
            ("LIVEKIT_PUBLIC_URL", self.livekit_public_url.as_ref()),
            ("DATABASE_URL", Some(&self.database_url)),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.otlp_endpoint.as_ref()),
        ] {
            let scheme = value.map(|value| url::Url::parse(value).map(|u| u.scheme().to_owned()));
            let allowed: &[&str] = match name {
                "DATABASE_URL" => &["postgres", "postgresql"],
                "OTEL_EXPORTER_OTLP_ENDPOINT" => &["http", "https"],
                _ => &["http", "https", "ws", "wss"],
            };
            match scheme {
                Some(Ok(scheme)) if !allowed.contains(&&*scheme) => {
                    return Err(format!(
                        "{name}: the scheme must be one of {}",
                        allowed.join(", ")
                    ));
                }
                Some(Err(error)) => return Err(format!("{name}: {error}")),
                _ => {}
            }
        }
        if self.livekit_api_secret.reveal().len() < 32 {
            return Err("LIVEKIT_API_SECRET: at least 32 characters are needed".to_owned());
        }
        keys::check(&self.operator_key, &self.worker_key)?;
        self.keyring().map_err(|fault| fault.to_string())?;
        self.knowledge.check()?;
        if self.worker_names.iter().any(|name| name.trim().is_empty()) {
            return Err("PATCHBAY_WORKER_NAMES: a name is empty".to_owned());
        }
        for (name, span, least) in [
            ("PATCHBAY_JOB_POLL", self.job_poll, 20),
            ("PATCHBAY_JOB_LEASE", self.job_lease, 1000),
        ] {
            if Duration::from(span) < Duration::from_millis(least) {
                return Err(format!("{name}: at least {least}ms is needed"));
            }
        }
        if self.database_pool_size == 0 {
            return Err("PATCHBAY_DATABASE_POOL_SIZE: at least 1 is needed".to_owned());
        }
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log) {
            return Err(format!("PATCHBAY_LOG: {error}"));
        }
        Ok(())
    }

    /// The key ring of secrets; empty where none is set.
    pub fn keyring(&self) -> anyhow::Result<KeyRing> {
        let keys = self.secret_keys.as_ref().map_or("", Secret::reveal);
        let ring: Result<KeyRing, _> = keys.parse();
        ring.map_err(|fault| anyhow::anyhow!("PATCHBAY_SECRET_KEYS: {fault}"))
    }

    /// Whether a test has the embedding model panic.
    pub fn panics_in_embedder(&self) -> bool {
        #[cfg(feature = "fault-injection")]
        return self.crash_at.as_deref() == Some("panic:embed");
        #[cfg(not(feature = "fault-injection"))]
        false
    }

    /// The deadlines of sessions.
    pub fn timings(&self) -> Timings {
        Timings {
            start_deadline: self.start_deadline.delta(),
            join_deadline: self.join_deadline.delta(),
            join_poll: self.join_poll.delta(),
            grace: self.agent_grace.delta(),
            reconcile: self.reconcile_interval.delta(),
            call_poll: self.call_poll.delta(),
        }
    }

    /// The URL that clients join at.
    pub fn public_url(&self) -> &str {
        self.livekit_public_url
            .as_deref()
            .unwrap_or(&self.livekit_url)
    }
}
