//! What the service must know of its installation.

use std::{path::PathBuf, time::Duration};

use ipnet::IpNet;
use patchbay_domain::{limits::CallLimits, session::Timings};

/// Settings of the service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the installation; the first part of room names and object keys.
    pub env: String,
    /// Deadlines of sessions and calls.
    pub timings: Timings,
    /// How rooms are made.
    pub rooms: RoomSettings,
    /// How jobs are run.
    pub jobs: JobSettings,
    /// How long what has served its purpose is kept.
    pub retention: Retention,
    /// How long a start or a stop waits for LiveKit.
    pub start_wait: Duration,
    /// Longest time of a request: whoever was to settle its idempotency record is then gone.
    pub request_timeout: Duration,
    /// Longest time of one call to LiveKit.
    pub livekit_timeout: Duration,
    /// The URL that participants connect to.
    pub livekit_public_url: String,
    /// Telephone calls of a tenant without limits of its own.
    pub call_limits: CallLimits,
    /// Live sessions of a tenant without a limit of its own; 0 for any number.
    pub session_limit: u32,
    /// Networks of the operator's own that tenants may name.
    pub outbound_allow: Vec<IpNet>,
    /// Files, ingests and search.
    pub knowledge: KnowledgeSettings,
    /// Where tests end the process, or make it panic.
    #[cfg(feature = "fault-injection")]
    pub crash_at: Option<String>,
}

/// How rooms are made.
#[derive(Clone, Debug)]
pub struct RoomSettings {
    /// Seconds that an empty room waits for its first participant.
    pub empty_timeout: u32,
    /// Seconds that a room stays after its last participant has left.
    pub departure_timeout: u32,
    /// Most participants of a session at a time.
    pub max_participants: u32,
}

/// How jobs are run.
#[derive(Clone, Debug)]
pub struct JobSettings {
    /// How often to look for due jobs where no notification came.
    pub poll: Duration,
    /// How long a job is claimed before another process may take it over.
    pub lease: Duration,
}

/// How long what has served its purpose is kept.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Answers for their idempotency keys.
    pub idempotency: Duration,
    /// Applied webhook events.
    pub webhooks: Duration,
    /// How often what has aged out is deleted.
    pub purge_interval: Duration,
}

/// Files, ingests and search.
#[derive(Clone, Debug)]
pub struct KnowledgeSettings {
    /// Most bytes of a file.
    pub upload_limit: u64,
    /// How long an upload may take.
    pub upload_timeout: Duration,
    /// Ingests at a time.
    pub ingest_parallel: usize,
    /// The program that gets the text out of files.
    pub extractor: PathBuf,
    /// Most time for getting the text out of a file.
    pub extract_timeout: Duration,
    /// Most bytes of memory for it.
    pub extract_memory: u64,
    /// Directory of the local embedding model, whose tokens are counted.
    pub model_directory: Option<PathBuf>,
    /// Most tokens of a chunk.
    pub chunk_tokens: usize,
    /// Tokens that a chunk shares with the one before it, about.
    pub chunk_overlap: usize,
    /// Chunks up to which a search by meaning compares them all.
    pub search_exact_chunks: i64,
}
