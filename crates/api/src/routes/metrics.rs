//! Metrics of a tenant.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{buckets::Bucket, clock};
use patchbay_persistence::metrics::{self, Key, Span};
use patchbay_service::{
    Result,
    metrics::{self as service, Figures},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    extract::{Caller, Query, scopes::MetricsRead},
    openapi::{Doc, Tag},
    response::{Entity, Resource},
    router::Api,
};

/// What calls are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// Id of the agent.
    Agent,
    /// Direction: inbound or outbound.
    Direction,
    /// Outcome: answered, failed, canceled or open.
    Outcome,
    /// End reason.
    Reason,
}

/// Query of metrics.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsQuery {
    /// Start of the time range, inclusive. By default 30 days before `to`, or one day for buckets of an hour.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    from: Option<DateTime<Utc>>,
    /// End of the time range, exclusive; now by default.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    to: Option<DateTime<Utc>>,
    /// Length of a bucket; `day` by default.
    #[schema(inline)]
    bucket: Option<Bucket>,
    /// Groups the calls of each bucket, in addition to the totals.
    #[schema(inline)]
    group_by: Option<GroupBy>,
    /// Name of the IANA time zone in which hours and days are counted; `UTC` by default.
    #[schema(max_length = 64)]
    time_zone: Option<String>,
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
    fn of(sum: f64, percentiles: Option<Vec<f64>>) -> Self {
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
    key: String,
    /// Metrics of the group.
    figures: CallMetrics,
}

/// Metrics of one time bucket.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({
    "start": "2026-11-23T00:00:00Z", "sessions": 5, "agent_join_seconds": {"sum": 3.2, "p50": 0.6, "p95": 0.9},
    "calls": {
        "calls": 4, "answered": 3, "answer_rate": 0.75, "ring_seconds": {"sum": 16.0, "p50": 4.0, "p95": 6.0},
        "setup_seconds": {"sum": 18.0, "p50": 6.0, "p95": 7.5}, "talk_seconds": {"sum": 190.0, "p50": 61.0, "p95": 80.0}
    },
    "by_direction": {"outbound": 4}, "by_outcome": {"answered": 3, "failed": 1}, "by_reason": {"callee_hangup": 3, "busy": 1},
    "groups": [], "concurrent_peak": 2, "input_tokens": 1200, "output_tokens": 400, "audio_seconds": 88.5, "characters": 900,
    "tool_calls": 2, "tool_failures": 0, "files": 1, "file_bytes": 48213, "chunks": 120, "searches": 7, "embedding_seconds": 9.5
}))]
pub struct MetricsBucket {
    /// Start of the bucket.
    start: DateTime<Utc>,
    /// Number of sessions created, without erased sessions.
    #[schema(minimum = 0)]
    sessions: i64,
    /// Time that agents took to join these sessions.
    agent_join_seconds: DurationStats,
    /// Phone calls created.
    calls: CallMetrics,
    /// Number of calls by direction.
    by_direction: BTreeMap<String, i64>,
    /// Number of calls by outcome: `answered`, `failed`, `canceled`, or `open` while it is not known.
    by_outcome: BTreeMap<String, i64>,
    /// Number of ended calls by end reason.
    by_reason: BTreeMap<String, i64>,
    /// Metrics of calls by group, sorted by key; empty unless `group_by` is given.
    #[schema(max_items = 1000)]
    groups: Vec<CallGroup>,
    /// Peak number of concurrent calls, among calls created between `from` and `to`; 0 if no call started in the
    /// bucket.
    #[schema(minimum = 0)]
    concurrent_peak: i64,
    /// Input tokens of models, as reported by workers.
    #[schema(minimum = 0)]
    input_tokens: i64,
    /// Output tokens of models, as reported by workers.
    #[schema(minimum = 0)]
    output_tokens: i64,
    /// Audio processed or generated by models, in seconds.
    #[schema(minimum = 0)]
    audio_seconds: f64,
    /// Number of characters converted to speech.
    #[schema(minimum = 0)]
    characters: i64,
    /// Number of completed tool calls.
    #[schema(minimum = 0)]
    tool_calls: i64,
    /// Number of these tool calls that failed.
    #[schema(minimum = 0)]
    tool_failures: i64,
    /// Number of files uploaded, without deleted files.
    #[schema(minimum = 0)]
    files: i64,
    /// Size of these files in bytes.
    #[schema(minimum = 0)]
    file_bytes: i64,
    /// Number of chunks that became searchable.
    #[schema(minimum = 0)]
    chunks: i64,
    /// Number of searches by API keys and agents, updated with a delay of a few seconds.
    #[schema(minimum = 0)]
    searches: i64,
    /// Time spent computing embeddings for searches and ingests, in seconds.
    #[schema(minimum = 0)]
    embedding_seconds: f64,
}

/// Metrics by time bucket.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z", "bucket": "day", "time_zone": "UTC", "group_by": null, "buckets": []
}))]
pub struct Metrics {
    /// Start of the time range, inclusive.
    from: DateTime<Utc>,
    /// End of the time range, exclusive.
    to: DateTime<Utc>,
    /// Length of a bucket.
    bucket: Bucket,
    /// IANA time zone of the buckets.
    #[schema(max_length = 64)]
    time_zone: String,
    /// What calls are grouped by; null if they are not.
    group_by: Option<GroupBy>,
    /// All buckets of the time range, including empty ones, oldest first.
    #[schema(max_items = 1000)]
    buckets: Vec<MetricsBucket>,
}

impl Resource for Metrics {}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Metrics);
    api.add(
        "/api/tenants/{tenant_id}/metrics",
        get,
        Doc::get("getMetrics", "Get metrics").about(
            "Returns metrics of sessions, calls, usage, tool calls, files and searches in buckets \
             of an hour or a day. Items are counted in the bucket in which they began. A response \
             has at most 1,000 buckets.",
        ),
    );
}

async fn get(caller: Caller<MetricsRead>, query: Query<MetricsQuery>) -> Result<Entity<Metrics>> {
    let Query(query) = query;
    let zone = query.time_zone.unwrap_or_else(|| "UTC".to_owned());
    let to = query.to.unwrap_or_else(|| caller.service.clock.now());
    let bucket = query.bucket.unwrap_or_default();
    let default_span = match bucket {
        Bucket::Hour => TimeDelta::days(1),
        Bucket::Day => TimeDelta::days(30),
    };
    let from = query.from.unwrap_or(to - default_span);
    let span = service::span((from, to), bucket, &zone)?;
    let key = key(query.group_by);
    let found = service::query(&caller.service, caller.tenant()?, &span, key).await?;
    let buckets = fill_buckets(&span, key, found);
    Ok(Entity(Metrics {
        from,
        to,
        bucket,
        time_zone: zone,
        group_by: query.group_by,
        buckets,
    }))
}

fn key(group_by: Option<GroupBy>) -> Key {
    match group_by {
        None => Key::None,
        Some(GroupBy::Agent) => Key::Agent,
        Some(GroupBy::Direction) => Key::Direction,
        Some(GroupBy::Outcome) => Key::Outcome,
        Some(GroupBy::Reason) => Key::Reason,
    }
}

/// Fills the buckets of the span.
fn fill_buckets(span: &Span, key: Key, found: Figures) -> Vec<MetricsBucket> {
    let mut buckets = Buckets::of(span);
    buckets.add_calls(found.calls, key);
    buckets.add_kinds(found.kinds);
    buckets.add_peaks(found.peaks);
    buckets.add_sessions(found.sessions);
    buckets.add_usage(found.usage);
    buckets.add_tool_calls(found.tool_calls);
    buckets.add_knowledge(found.knowledge);
    buckets.0
}

struct Buckets(Vec<MetricsBucket>);

impl Buckets {
    fn of(span: &Span) -> Self {
        let empty = |start: &DateTime<Utc>| MetricsBucket {
            start: *start,
            ..MetricsBucket::default()
        };
        Self(span.starts.iter().map(empty).collect())
    }

    /// Returns the bucket with this number, counted from 1 as by PostgreSQL's `width_bucket`.
    fn at(&mut self, number: i32) -> Option<&mut MetricsBucket> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.0.get_mut(index)
    }

    fn add_calls(&mut self, rows: Vec<metrics::Calls>, key: Key) {
        for mut row in rows {
            let Some(bucket) = self.at(row.bucket) else {
                continue;
            };
            let is_whole = key == Key::None || row.is_whole == 1;
            match (is_whole, row.key.take()) {
                (true, _) => bucket.calls = row.into(),
                (false, key) => bucket.groups.push(CallGroup {
                    key: key.unwrap_or_default(),
                    figures: row.into(),
                }),
            }
        }
        for bucket in &mut self.0 {
            bucket.groups.sort_by(|a, b| a.key.cmp(&b.key));
        }
    }

    fn add_kinds(&mut self, rows: Vec<metrics::Kinds>) {
        for row in rows {
            let Some(bucket) = self.at(row.bucket) else {
                continue;
            };
            *bucket.by_direction.entry(row.direction).or_default() += row.calls;
            *bucket.by_outcome.entry(row.outcome).or_default() += row.calls;
            if let Some(reason) = row.reason {
                *bucket.by_reason.entry(reason).or_default() += row.calls;
            }
        }
    }

    fn add_peaks(&mut self, rows: Vec<metrics::Peak>) {
        for row in rows {
            if let Some(bucket) = self.at(row.bucket) {
                bucket.concurrent_peak = row.peak;
            }
        }
    }

    fn add_sessions(&mut self, rows: Vec<metrics::Sessions>) {
        for row in rows {
            if let Some(bucket) = self.at(row.bucket) {
                bucket.sessions = row.sessions;
                bucket.agent_join_seconds = DurationStats::of(row.join_sum, row.join);
            }
        }
    }

    fn add_usage(&mut self, rows: Vec<metrics::Usage>) {
        for row in rows {
            if let Some(bucket) = self.at(row.bucket) {
                bucket.input_tokens = row.input_tokens;
                bucket.output_tokens = row.output_tokens;
                bucket.audio_seconds = row.audio_seconds;
                bucket.characters = row.characters;
            }
        }
    }

    fn add_knowledge(&mut self, rows: Vec<metrics::Knowledge>) {
        for row in rows {
            if let Some(bucket) = self.at(row.bucket) {
                bucket.files = row.files;
                bucket.file_bytes = row.bytes;
                bucket.chunks = row.chunks;
                bucket.searches = row.searches;
                bucket.embedding_seconds = (row.embedding_seconds * 1000.0).round() / 1000.0;
            }
        }
    }

    fn add_tool_calls(&mut self, rows: Vec<metrics::ToolCalls>) {
        for row in rows {
            if let Some(bucket) = self.at(row.bucket) {
                bucket.tool_calls = row.calls;
                bucket.tool_failures = row.failures;
            }
        }
    }
}
