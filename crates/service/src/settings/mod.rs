//! Settings of the service. Each is a flag and an environment variable with a documented default.

mod knowledge;
mod values;

use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;
use ipnet::IpNet;
use patchbay_domain::{
    limits::CallLimits,
    retention::{KINDS, MOST_DAYS, Retention as Kept},
    session::Timings,
};
use patchbay_persistence::Connector;
use url::Url;

pub use knowledge::{IndexSettings, KnowledgeSettings};
pub use values::{Secret, duration, named_numbers, seconds};

use crate::keyring::KeyRing;

/// All settings of the service.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Settings of the database.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Name of this installation, 1 to 32 of a-z and 0-9; it is the prefix of its rooms, SIP objects and stored files.
    #[arg(long, env = "PATCHBAY_ENV", default_value = "dev", value_parser = env_name)]
    pub env: String,
    /// Encryption keys of stored secrets, comma-separated, each `id:` and 64 hexadecimal digits; the first one
    /// encrypts, all decrypt. Without it, secrets cannot be stored.
    #[arg(long, env = "PATCHBAY_SECRET_KEYS", hide_env_values = true)]
    pub secret_keys: Option<Secret>,
    /// Settings of LiveKit.
    #[command(flatten)]
    pub livekit: LiveKitSettings,
    /// Settings of rooms.
    #[command(flatten)]
    pub rooms: RoomSettings,
    /// Deadlines of sessions and calls.
    #[command(flatten)]
    pub timings: TimingSettings,
    /// Time after its last heartbeat from which a registered worker counts as gone, at least 2s. Workers are told to send a
    /// heartbeat three times as often.
    #[arg(long, env = "PATCHBAY_WORKER_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub worker_timeout: Duration,
    /// How long requests to start or stop a session wait for LiveKit before they return 202.
    #[arg(long, env = "PATCHBAY_START_WAIT", default_value = "10s", value_parser = duration)]
    pub start_wait: Duration,
    /// Maximum duration of a request, after which it returns 503.
    #[arg(long, env = "PATCHBAY_REQUEST_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub request_timeout: Duration,
    /// Settings of jobs.
    #[command(flatten)]
    pub jobs: JobSettings,
    /// Retention periods.
    #[command(flatten)]
    pub retention: Retention,
    /// Default call limits of a tenant: concurrent calls, new calls per minute and maximum duration of a call in
    /// seconds, each 0 for unlimited.
    #[arg(
        long,
        env = "PATCHBAY_CALL_LIMITS",
        default_value = "concurrent=20,per_minute=60,seconds=3600",
        value_parser = call_limits
    )]
    pub call_limits: CallLimits,
    /// Default limit of concurrent live sessions of a tenant, including those of calls; 0 for unlimited.
    #[arg(long, env = "PATCHBAY_SESSION_LIMIT", default_value = "200")]
    pub session_limit: u32,
    /// Private networks that tools and SIP trunks may connect to and inbound calls may come from, comma-separated,
    /// such as 10.20.0.0/16; only the internet by default.
    #[arg(long, env = "PATCHBAY_OUTBOUND_ALLOW", value_delimiter = ',')]
    pub outbound_allow: Vec<IpNet>,
    /// Settings of files, ingests and search.
    #[command(flatten)]
    pub knowledge: KnowledgeSettings,
    /// For tests: aborts the process at this point, such as `after_create_room`; panics there with the prefix `panic:`,
    /// and waits there with `wait:`.
    #[cfg(feature = "fault-injection")]
    #[arg(long, env = "PATCHBAY_TEST_CRASH_AT", hide = true)]
    pub crash_at: Option<String>,
}

/// Settings of the PostgreSQL connections.
#[derive(Args, Clone)]
#[group(skip)]
pub struct DatabaseSettings {
    /// PostgreSQL URL of the application role, a member of `patchbay_app`.
    #[arg(
        id = "database_url",
        long = "database-url",
        env = "DATABASE_URL",
        hide_env_values = true
    )]
    pub url: String,
    /// PostgreSQL URL of the same role that reaches the server directly. Only needed if DATABASE_URL is that of a pooler such
    /// as PgBouncer: notifications of due jobs do not come through it.
    #[arg(
        id = "database_listen_url",
        long = "database-listen-url",
        env = "DATABASE_LISTEN_URL",
        hide_env_values = true
    )]
    pub listen_url: Option<String>,
    /// Maximum number of connections to PostgreSQL of this process.
    #[arg(
        id = "database_pool_size",
        long = "database-pool-size",
        env = "PATCHBAY_DATABASE_POOL_SIZE",
        default_value = "24"
    )]
    pub pool_size: usize,
    /// How long a request waits for a free connection before it returns 503.
    #[arg(id = "database_pool_wait", long = "database-pool-wait", env = "PATCHBAY_DATABASE_POOL_WAIT", default_value = "3s", value_parser = duration)]
    pub pool_wait: Duration,
    /// Maximum duration of a database statement in a tenant's transaction (statement_timeout of PostgreSQL).
    #[arg(id = "database_statement_timeout", long = "database-statement-timeout",
        env = "PATCHBAY_DATABASE_STATEMENT_TIMEOUT",
        default_value = "10s", value_parser = duration
    )]
    pub statement_timeout: Duration,
}

/// Settings of the LiveKit connection.
#[derive(Args, Clone)]
#[group(skip)]
pub struct LiveKitSettings {
    /// URL of the LiveKit server API.
    #[arg(
        id = "livekit_url",
        long = "livekit-url",
        env = "LIVEKIT_URL",
        default_value = "http://127.0.0.1:7880"
    )]
    pub url: String,
    /// LiveKit URL that clients connect to, returned with join tokens; LIVEKIT_URL by default.
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
    /// LiveKit API secret, at least 32 characters.
    #[arg(
        id = "livekit_api_secret",
        long = "livekit-api-secret",
        env = "LIVEKIT_API_SECRET",
        hide_env_values = true
    )]
    pub api_secret: Secret,
    /// Timeout of a request to LiveKit.
    #[arg(id = "livekit_timeout", long = "livekit-timeout", env = "PATCHBAY_LIVEKIT_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub timeout: Duration,
}

/// Settings of rooms.
#[derive(Args, Clone)]
#[group(skip)]
pub struct RoomSettings {
    /// How long LiveKit keeps a room open before the first participant joins.
    #[arg(id = "room_empty_timeout", long = "room-empty-timeout", env = "PATCHBAY_ROOM_EMPTY_TIMEOUT", default_value = "5m", value_parser = duration)]
    pub empty_timeout: Duration,
    /// How long LiveKit keeps a room open after the last participant has left.
    #[arg(id = "room_departure_timeout", long = "room-departure-timeout", env = "PATCHBAY_ROOM_DEPARTURE_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub departure_timeout: Duration,
    /// Maximum number of concurrent participants of a room.
    #[arg(long, env = "PATCHBAY_MAX_PARTICIPANTS", default_value = "50")]
    pub max_participants: u32,
}

/// Deadlines of sessions and calls.
#[derive(Args, Clone)]
#[group(skip)]
pub struct TimingSettings {
    /// How long the start of a session is retried before it fails with livekit_unavailable.
    #[arg(long, env = "PATCHBAY_START_DEADLINE", default_value = "60s", value_parser = duration)]
    pub start_deadline: Duration,
    /// How long workers may take to take a dispatch, which is repeated meanwhile, and how long the agent may then take to
    /// join before it is replaced; the latter happens once.
    #[arg(long, env = "PATCHBAY_JOIN_DEADLINE", default_value = "15s", value_parser = duration)]
    pub join_deadline: Duration,
    /// Time after a dispatch at which it is checked whether a worker has taken it, and repeated if not; doubled with each
    /// repetition.
    #[arg(long, env = "PATCHBAY_DISPATCH_CHECK", default_value = "1s", value_parser = duration)]
    pub dispatch_check: Duration,
    /// Interval of checks whether a dispatched agent has joined.
    #[arg(long, env = "PATCHBAY_JOIN_POLL", default_value = "2s", value_parser = duration)]
    pub join_poll: Duration,
    /// How long an agent or room may be missing in LiveKit before it counts as ended.
    #[arg(long, env = "PATCHBAY_AGENT_GRACE", default_value = "10s", value_parser = duration)]
    pub agent_grace: Duration,
    /// Interval in which a live session is reconciled with LiveKit.
    #[arg(long, env = "PATCHBAY_RECONCILE_INTERVAL", default_value = "30s", value_parser = duration)]
    pub reconcile_interval: Duration,
    /// Interval of checks of a call that is not answered yet.
    #[arg(long, env = "PATCHBAY_CALL_POLL", default_value = "1s", value_parser = duration)]
    pub call_poll: Duration,
}

/// Settings of the job queue.
#[derive(Args, Clone)]
#[group(skip)]
pub struct JobSettings {
    /// Interval of polling for due jobs when no notification arrives, at least 20ms.
    #[arg(id = "job_poll", long = "job-poll", env = "PATCHBAY_JOB_POLL", default_value = "1s", value_parser = duration)]
    pub poll: Duration,
    /// Lease of a job, after which another process may take it over, at least 1s.
    #[arg(id = "job_lease", long = "job-lease", env = "PATCHBAY_JOB_LEASE", default_value = "30s", value_parser = duration)]
    pub lease: Duration,
}

/// Retention periods.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Retention {
    /// How long the response of a request with an Idempotency-Key is kept.
    #[arg(id = "idempotency_retention", long = "idempotency-retention", env = "PATCHBAY_IDEMPOTENCY_RETENTION", default_value = "24h", value_parser = duration)]
    pub idempotency: Duration,
    /// How long applied webhook events are kept.
    #[arg(id = "webhook_retention", long = "webhook-retention", env = "PATCHBAY_WEBHOOK_RETENTION", default_value = "168h", value_parser = duration)]
    pub webhooks: Duration,
    /// Days for which records of tenants are kept, `transcripts=…,timelines=…,calls=…,audit=…`, each 0 for ever. A tenant's setting
    /// `retention_days` may only be stricter. They are erased once a day.
    #[arg(
        id = "retention_days",
        long = "retention-days",
        env = "PATCHBAY_RETENTION_DAYS",
        default_value = "transcripts=0,timelines=0,calls=0,audit=0",
        value_parser = retention_days
    )]
    pub days: Kept,
    /// Interval in which expired records are deleted.
    #[arg(long, env = "PATCHBAY_PURGE_INTERVAL", default_value = "1h", value_parser = duration)]
    pub purge_interval: Duration,
}

fn env_name(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if (1..=32).contains(&text.len()) && text.chars().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err("1 to 32 of a-z and 0-9 are allowed".to_owned())
    }
}

fn retention_days(text: &str) -> Result<Kept, String> {
    let days = named_numbers(text, KINDS)?;
    match days.iter().any(|days| u64::from(*days) > MOST_DAYS) {
        true => Err(format!(
            "at most {MOST_DAYS} days are possible; 0 is for ever"
        )),
        false => Ok(Kept::of_days(days)),
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
    /// Checks what clap does not. The error is one line that names the setting.
    pub fn check(&self) -> Result<(), String> {
        let public_url = self.livekit.public_url.as_deref();
        for (name, url) in [
            ("DATABASE_URL", Some(&*self.database.url)),
            ("DATABASE_LISTEN_URL", self.database.listen_url.as_deref()),
        ] {
            url.map_or(Ok(()), |url| check_database_url(name, url))?;
        }
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
        self.keyring().map_err(|error| error.to_string())?;
        self.knowledge.check()?;
        for (name, interval, minimum) in [
            ("PATCHBAY_JOB_POLL", self.jobs.poll, 20),
            ("PATCHBAY_JOB_LEASE", self.jobs.lease, 1000),
            ("PATCHBAY_WORKER_TIMEOUT", self.worker_timeout, 2000),
            ("PATCHBAY_DISPATCH_CHECK", self.timings.dispatch_check, 20),
        ] {
            if interval < Duration::from_millis(minimum) {
                return Err(format!("{name}: at least {minimum}ms is needed"));
            }
        }
        if self.database.pool_size == 0 {
            return Err("PATCHBAY_DATABASE_POOL_SIZE: at least 1 is needed".to_owned());
        }
        Ok(())
    }

    /// The key ring of secrets; empty if no keys are set.
    pub fn keyring(&self) -> anyhow::Result<KeyRing> {
        let keys = self.secret_keys.as_ref().map_or("", Secret::reveal);
        let ring: Result<KeyRing, _> = keys.parse();
        ring.map_err(|error| anyhow::anyhow!("PATCHBAY_SECRET_KEYS: {error}"))
    }

    /// Whether the embedding model panics, for tests.
    pub fn panics_in_embedder(&self) -> bool {
        #[cfg(feature = "fault-injection")]
        return self.crash_at.as_deref() == Some("panic:embed");
        #[cfg(not(feature = "fault-injection"))]
        false
    }
}

fn check_database_url(name: &str, url: &str) -> Result<(), String> {
    check_url(name, url, &["postgres", "postgresql"])?;
    let connector = Connector::new(url);
    connector
        .map(|_| ())
        .map_err(|error| format!("{name}: {error}"))
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
    /// URL that participants connect to.
    pub fn participants_url(&self) -> &str {
        self.public_url.as_deref().unwrap_or(&self.url)
    }
}

impl TimingSettings {
    /// Converts to the timings of the state machines.
    pub fn timings(&self) -> Timings {
        let delta = |time| TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX);
        Timings {
            start_deadline: delta(self.start_deadline),
            join_deadline: delta(self.join_deadline),
            dispatch_check: delta(self.dispatch_check),
            join_poll: delta(self.join_poll),
            grace: delta(self.agent_grace),
            reconcile: delta(self.reconcile_interval),
            call_poll: delta(self.call_poll),
        }
    }
}
