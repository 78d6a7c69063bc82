//! Responses of metrics.

use std::collections::BTreeMap;

use patchbay_domain::buckets::Bucket;
use patchbay_persistence::metrics::{self, Key};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{response::Resource, timestamp::Timestamp};

/// What sessions and calls are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// Id of the agent.
    Agent,
    /// Sessions: id of the binding.
    Binding,
    /// Sessions: `telephone` if the session was created for a phone call, and `web` otherwise.
    Channel,
    /// Calls: inbound or outbound.
    Direction,
    /// Sessions: ended, failed or open. Calls: answered, failed, canceled or open.
    Outcome,
    /// End reason.
    Reason,
}

impl From<GroupBy> for Key {
    fn from(group_by: GroupBy) -> Self {
        match group_by {
            GroupBy::Agent => Self::Agent,
            GroupBy::Binding => Self::Binding,
            GroupBy::Channel => Self::Channel,
            GroupBy::Direction => Self::Direction,
            GroupBy::Outcome => Self::Outcome,
            GroupBy::Reason => Self::Reason,
        }
    }
}

/// Sum and percentiles of durations, in seconds.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({"sum": 61.5, "p50": 12.0, "p95": 40.1}))]
pub struct DurationStats {
    /// Sum in seconds.
    sum: f64,
    /// 50th percentile (median) in seconds; null if there is no data.
    p50: Option<f64>,
    /// 95th percentile in seconds; null if there is no data.
    p95: Option<f64>,
}

impl DurationStats {
    /// Rounds to milliseconds.
    pub fn of(sum: f64, percentiles: Option<Vec<f64>>) -> Self {
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        let at = |index: usize| percentiles.as_ref().and_then(|p| p.get(index).copied());
        Self {
            sum: round(sum),
            p50: at(0).map(round),
            p95: at(1).map(round),
        }
    }
}

/// Metrics of calls.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({
    "calls": 4, "answered": 3, "answer_rate": 0.75, "ring_seconds": {"sum": 16.0, "p50": 4.0, "p95": 6.0},
    "setup_seconds": {"sum": 18.0, "p50": 6.0, "p95": 7.5}, "talk_seconds": {"sum": 190.0, "p50": 61.0, "p95": 80.0}
}))]
pub struct CallMetrics {
    /// Number of calls created.
    #[schema(minimum = 0)]
    calls: i64,
    /// Number of these calls that were answered.
    #[schema(minimum = 0)]
    answered: i64,
    /// Answered calls divided by all calls; null if there are no calls.
    #[schema(minimum = 0, maximum = 1)]
    answer_rate: Option<f64>,
    /// Ringing time until the call was answered or ended.
    ring_seconds: DurationStats,
    /// Time from the start of the call to the answer.
    setup_seconds: DurationStats,
    /// Time from the answer to the end of the call.
    talk_seconds: DurationStats,
}

impl From<metrics::Calls> for CallMetrics {
    fn from(row: metrics::Calls) -> Self {
        let rate = row.answered as f64 / row.calls as f64;
        Self {
            calls: row.calls,
            answered: row.answered,
            answer_rate: (row.calls > 0).then(|| (rate * 10_000.0).round() / 10_000.0),
            ring_seconds: DurationStats::of(row.ring_sum, row.ring),
            setup_seconds: DurationStats::of(row.setup_sum, row.setup),
            talk_seconds: DurationStats::of(row.talk_sum, row.talk),
        }
    }
}

/// Metrics of one group of calls.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"key": "outbound", "figures": {
    "calls": 1, "answered": 0, "answer_rate": 0.0, "ring_seconds": {"sum": 0.0, "p50": null, "p95": null},
    "setup_seconds": {"sum": 0.0, "p50": null, "p95": null}, "talk_seconds": {"sum": 0.0, "p50": null, "p95": null}
}}))]
pub struct CallGroup {
    /// Value of the group: agent id, direction, outcome or end reason. The end reason is empty for calls that have
    /// not ended.
    #[schema(max_length = 64)]
    pub key: String,
    /// Metrics of the group.
    pub figures: CallMetrics,
}

/// Metrics of sessions.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({
    "sessions": 5, "failed": 1, "join_seconds": {"sum": 3.2, "p50": 0.6, "p95": 0.9},
    "duration_seconds": {"sum": 402.0, "p50": 84.2, "p95": 201.7}
}))]
pub struct SessionMetrics {
    /// Number of sessions created, without erased sessions.
    #[schema(minimum = 0)]
    sessions: i64,
    /// Number of these sessions that failed.
    #[schema(minimum = 0)]
    failed: i64,
    /// Time from the start of the session until its agent joined.
    join_seconds: DurationStats,
    /// Time from then until the end of the session.
    duration_seconds: DurationStats,
}

impl From<metrics::Sessions> for SessionMetrics {
    fn from(row: metrics::Sessions) -> Self {
        Self {
            sessions: row.sessions,
            failed: row.failed,
            join_seconds: DurationStats::of(row.joining_sum, row.joining),
            duration_seconds: DurationStats::of(row.duration_sum, row.duration),
        }
    }
}

/// Metrics of one group of sessions.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"key": "telephone", "figures": {
    "sessions": 5, "failed": 1, "join_seconds": {"sum": 3.2, "p50": 0.6, "p95": 0.9},
    "duration_seconds": {"sum": 402.0, "p50": 84.2, "p95": 201.7}
}}))]
pub struct SessionGroup {
    /// Value of the group: agent id, binding id, channel (`web` or `telephone`), outcome or end reason. The end reason is
    /// empty for sessions that have not ended.
    #[schema(max_length = 64)]
    pub key: String,
    /// Metrics of the group.
    pub figures: SessionMetrics,
}

/// Metrics of one time bucket.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({
    "start": "2026-11-23T00:00:00Z",
    "sessions": {
        "sessions": 5, "failed": 1, "join_seconds": {"sum": 3.2, "p50": 0.6, "p95": 0.9},
        "duration_seconds": {"sum": 402.0, "p50": 84.2, "p95": 201.7}
    },
    "session_outcomes": {"ended": 4, "failed": 1}, "session_reasons": {"caller_hangup": 4, "no_worker": 1}, "session_groups": [],
    "calls": {
        "calls": 4, "answered": 3, "answer_rate": 0.75, "ring_seconds": {"sum": 16.0, "p50": 4.0, "p95": 6.0},
        "setup_seconds": {"sum": 18.0, "p50": 6.0, "p95": 7.5}, "talk_seconds": {"sum": 190.0, "p50": 61.0, "p95": 80.0}
    },
    "call_directions": {"outbound": 4}, "call_outcomes": {"answered": 3, "failed": 1},
    "call_reasons": {"callee_hangup": 3, "busy": 1}, "call_groups": [], "concurrent_calls_peak": 2,
    "input_tokens": 1200, "output_tokens": 400, "audio_seconds": 88.5, "characters": 900,
    "tool_calls": 2, "tool_failures": 0, "files": 1, "file_bytes": 48213, "chunks": 120, "searches": 7, "embedding_seconds": 9.5
}))]
pub struct MetricsBucket {
    /// Start of the bucket.
    pub start: Timestamp,
    /// Sessions created.
    pub sessions: SessionMetrics,
    /// Number of sessions by outcome: `ended`, `failed`, or `open` while it is not known.
    pub session_outcomes: BTreeMap<String, i64>,
    /// Number of ended sessions by end reason.
    pub session_reasons: BTreeMap<String, i64>,
    /// Metrics of sessions by group, sorted by key; empty unless `group_by` is given and applies to sessions.
    #[schema(max_items = 1000)]
    pub session_groups: Vec<SessionGroup>,
    /// Phone calls created.
    pub calls: CallMetrics,
    /// Number of calls by direction.
    pub call_directions: BTreeMap<String, i64>,
    /// Number of calls by outcome: `answered`, `failed`, `canceled`, or `open` while it is not known.
    pub call_outcomes: BTreeMap<String, i64>,
    /// Number of ended calls by end reason.
    pub call_reasons: BTreeMap<String, i64>,
    /// Metrics of calls by group, sorted by key; empty unless `group_by` is given and applies to calls.
    #[schema(max_items = 1000)]
    pub call_groups: Vec<CallGroup>,
    /// Peak number of concurrent calls, among calls created between `from` and `to`; 0 if no call started in the
    /// bucket.
    #[schema(minimum = 0)]
    pub concurrent_calls_peak: i64,
    /// Input tokens of models, as reported by workers.
    #[schema(minimum = 0)]
    pub input_tokens: i64,
    /// Output tokens of models, as reported by workers.
    #[schema(minimum = 0)]
    pub output_tokens: i64,
    /// Audio processed or generated by models, in seconds.
    #[schema(minimum = 0)]
    pub audio_seconds: f64,
    /// Number of characters converted to speech.
    #[schema(minimum = 0)]
    pub characters: i64,
    /// Number of completed tool calls.
    #[schema(minimum = 0)]
    pub tool_calls: i64,
    /// Number of these tool calls that failed.
    #[schema(minimum = 0)]
    pub tool_failures: i64,
    /// Number of files uploaded, without deleted files.
    #[schema(minimum = 0)]
    pub files: i64,
    /// Size of these files in bytes.
    #[schema(minimum = 0)]
    pub file_bytes: i64,
    /// Number of chunks that became searchable.
    #[schema(minimum = 0)]
    pub chunks: i64,
    /// Number of searches by API keys and agents, updated with a delay of a few seconds.
    #[schema(minimum = 0)]
    pub searches: i64,
    /// Time spent computing embeddings for searches and ingests, in seconds.
    #[schema(minimum = 0)]
    pub embedding_seconds: f64,
}

/// Metrics by time bucket.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z", "bucket": "day", "time_zone": "UTC", "group_by": null, "buckets": []
}))]
pub struct Metrics {
    /// Start of the time range, inclusive.
    pub from: Timestamp,
    /// End of the time range, exclusive.
    pub to: Timestamp,
    /// Length of a bucket.
    pub bucket: Bucket,
    /// IANA time zone of the buckets.
    #[schema(max_length = 64)]
    pub time_zone: String,
    /// What sessions and calls are grouped by; null if they are not.
    pub group_by: Option<GroupBy>,
    /// All buckets of the time range, including empty ones, oldest first.
    #[schema(max_items = 1000)]
    pub buckets: Vec<MetricsBucket>,
}

impl Resource for Metrics {}
