//! Settings of the service: each is a flag and an environment variable with a documented default.

mod knowledge;
mod values;

use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;
use ipnet::IpNet;
use patchbay_domain::{limits::CallLimits, session::Timings};
use url::Url;

pub use knowledge::{IndexSettings, KnowledgeSettings};
pub use values::{Secret, duration, named_numbers, seconds};

use crate::keyring::KeyRing;

/// What the service must know of its installation.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// PostgreSQL.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Name of this installation; the first part of its room names.
    #[arg(long, env = "PATCHBAY_ENV", default_value = "dev", value_parser = env_name)]
    pub env: String,
    /// Keys that secrets are sealed with, the sealing one first: `id:64 hexadecimal digits`,
    /// comma-separated. Without it no secrets can be kept.
    #[arg(long, env = "PATCHBAY_SECRET_KEYS", hide_env_values = true)]
    pub secret_keys: Option<Secret>,
    /// LiveKit.
    #[command(flatten)]
    pub livekit: LiveKitSettings,
    /// Rooms.
    #[command(flatten)]
    pub rooms: RoomSettings,
    /// Deadlines.
    #[command(flatten)]
    pub timings: TimingSettings,
    /// How long start and stop wait for LiveKit before they answer 202.
    #[arg(long, env = "PATCHBAY_START_WAIT", default_value = "10s", value_parser = duration)]
    pub start_wait: Duration,
    /// How long a request may take in all before it is answered 503.
    #[arg(long, env = "PATCHBAY_REQUEST_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub request_timeout: Duration,
    /// Jobs.
    #[command(flatten)]
    pub jobs: JobSettings,
    /// Retention.
    #[command(flatten)]
    pub retention: Retention,
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
    /// Networks of your own that tools may call, such as 10.20.0.0/16; the internet alone by default.
    #[arg(long, env = "PATCHBAY_OUTBOUND_ALLOW", value_delimiter = ',')]
    pub outbound_allow: Vec<IpNet>,
    /// Files and search.
    #[command(flatten)]
    pub knowledge: KnowledgeSettings,
    /// For tests: abort the process at this point (`after_create_room`, …), or panic there
    /// (`panic:after_create_room`).
    #[cfg(feature = "fault-injection")]
    #[arg(long, env = "PATCHBAY_TEST_CRASH_AT", hide = true)]
    pub crash_at: Option<String>,
}

/// How PostgreSQL is reached.
#[derive(Args, Clone)]
#[group(skip)]
pub struct DatabaseSettings {
    /// PostgreSQL URL of the application role (member of `patchbay_app`).
    #[arg(
        id = "database_url",
        long = "database-url",
        env = "DATABASE_URL",
        hide_env_values = true
    )]
    pub url: String,
    /// Most connections to PostgreSQL.
    #[arg(
        id = "database_pool_size",
        long = "database-pool-size",
        env = "PATCHBAY_DATABASE_POOL_SIZE",
        default_value = "16"
    )]
    pub pool_size: usize,
    /// How long a request waits for a free connection before it is answered 503.
    #[arg(id = "database_pool_wait", long = "database-pool-wait", env = "PATCHBAY_DATABASE_POOL_WAIT", default_value = "3s", value_parser = duration)]
    pub pool_wait: Duration,
    /// PostgreSQL's statement_timeout.
    #[arg(id = "database_statement_timeout", long = "database-statement-timeout",
        env = "PATCHBAY_DATABASE_STATEMENT_TIMEOUT",
        default_value = "10s", value_parser = duration
    )]
    pub statement_timeout: Duration,
}

/// How LiveKit is reached.
#[derive(Args, Clone)]
#[group(skip)]
pub struct LiveKitSettings {
    /// URL of LiveKit's server API.
    #[arg(
        id = "livekit_url",
        long = "livekit-url",
        env = "LIVEKIT_URL",
        default_value = "http://127.0.0.1:7880"
    )]
    pub url: String,
    /// URL that clients are given to join; LIVEKIT_URL by default.
    #[arg(
        id = "livekit_public_url",
        long = "livekit-public-url",
        env = "LIVEKIT_PUBLIC_URL"
    )]
    pub public_url: Option<String>,
    /// LiveKit API key.
    #[arg(
        id = "livekit_api_key",
        long = "livekit-api-key",
        env = "LIVEKIT_API_KEY"
    )]
    pub api_key: String,
    /// LiveKit API secret; at least 32 characters.
    #[arg(
        id = "livekit_api_secret",
        long = "livekit-api-secret",
        env = "LIVEKIT_API_SECRET",
        hide_env_values = true
    )]
    pub api_secret: Secret,
    /// Most time for one call to LiveKit.
    #[arg(id = "livekit_timeout", long = "livekit-timeout", env = "PATCHBAY_LIVEKIT_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub timeout: Duration,
}

/// How rooms are made.
#[derive(Args, Clone)]
#[group(skip)]
pub struct RoomSettings {
    /// How long an empty room waits for its first participant.
    #[arg(id = "room_empty_timeout", long = "room-empty-timeout", env = "PATCHBAY_ROOM_EMPTY_TIMEOUT", default_value = "5m", value_parser = duration)]
    pub empty_timeout: Duration,
    /// How long a room stays after its last participant has left.
    #[arg(id = "room_departure_timeout", long = "room-departure-timeout", env = "PATCHBAY_ROOM_DEPARTURE_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub departure_timeout: Duration,
    /// Most participants of a session at a time.
    #[arg(long, env = "PATCHBAY_MAX_PARTICIPANTS", default_value = "50")]
    pub max_participants: u32,
}

/// Deadlines of sessions and calls.
#[derive(Args, Clone)]
#[group(skip)]
pub struct TimingSettings {
    /// How long a start may take until it fails with livekit_unavailable.
    #[arg(long, env = "PATCHBAY_START_DEADLINE", default_value = "60s", value_parser = duration)]
    pub start_deadline: Duration,
    /// How long an agent may take to join before it is dispatched again, once.
    #[arg(long, env = "PATCHBAY_JOIN_DEADLINE", default_value = "15s", value_parser = duration)]
    pub join_deadline: Duration,
    /// How often to look for an agent that has not joined yet.
    #[arg(long, env = "PATCHBAY_JOIN_POLL", default_value = "2s", value_parser = duration)]
    pub join_poll: Duration,
    /// How long an agent or room may be out of sight before it counts as gone.
    #[arg(long, env = "PATCHBAY_AGENT_GRACE", default_value = "10s", value_parser = duration)]
    pub agent_grace: Duration,
    /// How often a live session is compared with LiveKit.
    #[arg(long, env = "PATCHBAY_RECONCILE_INTERVAL", default_value = "30s", value_parser = duration)]
    pub reconcile_interval: Duration,
    /// How often to look how a telephone call that is not answered yet stands.
    #[arg(long, env = "PATCHBAY_CALL_POLL", default_value = "1s", value_parser = duration)]
    pub call_poll: Duration,
}

/// How jobs are run.
#[derive(Args, Clone)]
#[group(skip)]
pub struct JobSettings {
    /// How often to look for due jobs where no notification came.
    #[arg(id = "job_poll", long = "job-poll", env = "PATCHBAY_JOB_POLL", default_value = "1s", value_parser = duration)]
    pub poll: Duration,
    /// How long a job is claimed before another process may take it over.
    #[arg(id = "job_lease", long = "job-lease", env = "PATCHBAY_JOB_LEASE", default_value = "30s", value_parser = duration)]
    pub lease: Duration,
}

/// How long what has served its purpose is kept.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Retention {
    /// How long an answer is kept for its Idempotency-Key.
    #[arg(id = "idempotency_retention", long = "idempotency-retention", env = "PATCHBAY_IDEMPOTENCY_RETENTION", default_value = "24h", value_parser = duration)]
    pub idempotency: Duration,
    /// How long an applied webhook event is kept.
    #[arg(id = "webhook_retention", long = "webhook-retention", env = "PATCHBAY_WEBHOOK_RETENTION", default_value = "168h", value_parser = duration)]
    pub webhooks: Duration,
    /// How often what has aged out is deleted.
    #[arg(long, env = "PATCHBAY_PURGE_INTERVAL", default_value = "1h", value_parser = duration)]
    pub purge_interval: Duration,
}

fn env_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if (1..=32).contains(&text.len()) && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("1 to 32 of a-z and 0-9 are allowed".to_owned())
    }
}

fn call_limits(text: &str) -> Result<CallLimits, String> {
    let [concurrent, per_minute, seconds] =
        named_numbers(text, ["concurrent", "per_minute", "seconds"])?;
    Ok(CallLimits {
        concurrent,
        per_minute,
        seconds,
    })
}

impl Settings {
    /// Checks what clap cannot: one line per fault, naming the setting.
    pub fn check(&self) -> Result<(), String> {
        let public_url = self.livekit.public_url.as_deref();
        check_url(
            "DATABASE_URL",
            &self.database.url,
            &["postgres", "postgresql"],
        )?;
        for (name, url) in [
            ("LIVEKIT_URL", Some(&*self.livekit.url)),
            ("LIVEKIT_PUBLIC_URL", public_url),
        ] {
            let schemes = &["http", "https", "ws", "wss"];
            url.map_or(Ok(()), |url| check_url(name, url, schemes))?;
        }
        if self.livekit.api_secret.reveal().len() < 32 {
            return Err("LIVEKIT_API_SECRET: at least 32 characters are needed".to_owned());
        }
        self.keyring().map_err(|fault| fault.to_string())?;
        self.knowledge.check()?;
        for (name, span, least) in [
            ("PATCHBAY_JOB_POLL", self.jobs.poll, 20),
            ("PATCHBAY_JOB_LEASE", self.jobs.lease, 1000),
        ] {
            if span < Duration::from_millis(least) {
                return Err(format!("{name}: at least {least}ms is needed"));
            }
        }
        if self.database.pool_size == 0 {
            return Err("PATCHBAY_DATABASE_POOL_SIZE: at least 1 is needed".to_owned());
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
}

/// Checks that a setting is a URL with one of these schemes.
pub fn check_url(name: &str, url: &str, schemes: &[&str]) -> Result<(), String> {
    match Url::parse(url) {
        Ok(url) if schemes.contains(&url.scheme()) => Ok(()),
        Ok(_) => Err(format!(
            "{name}: the scheme must be one of {}",
            schemes.join(", ")
        )),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

impl LiveKitSettings {
    /// The URL that participants connect to.
    pub fn participants_url(&self) -> &str {
        self.public_url.as_deref().unwrap_or(&self.url)
    }
}

impl TimingSettings {
    /// As the state machines have them.
    pub fn timings(&self) -> Timings {
        let delta = |time| TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX);
        Timings {
            start_deadline: delta(self.start_deadline),
            join_deadline: delta(self.join_deadline),
            join_poll: delta(self.join_poll),
            grace: delta(self.agent_grace),
            reconcile: delta(self.reconcile_interval),
            call_poll: delta(self.call_poll),
        }
    }
}
