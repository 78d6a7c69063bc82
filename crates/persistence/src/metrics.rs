//! Metrics of a tenant by time bucket, computed from the rows: an index-only scan of the span, one statement for
//! each kind of row.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};

use crate::{Result, TenantTx, prepared::Prepare as _};

/// A span with the starts of its buckets.
#[derive(Clone, Debug)]
pub struct Span {
    /// Start of the span, inclusive.
    pub from: DateTime<Utc>,
    /// End of the span, exclusive.
    pub to: DateTime<Utc>,
    /// The starts of the buckets, in order; the first one at or before `from`.
    pub starts: Vec<DateTime<Utc>>,
}

/// For the rest of this transaction: memory for sorts, which take twice as long on disk, and plans that are made for this
/// span rather than for any.
pub async fn tune(tx: &mut TenantTx) -> Result<()> {
    let set = "SET LOCAL work_mem = '32MB'; SET LOCAL plan_cache_mode = force_custom_plan";
    tx.batch_execute(set).await?;
    Ok(())
}

/// What calls and sessions are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns")]
pub enum Key {
    Agent,
    Binding,
    Channel,
    Direction,
    Outcome,
    Reason,
}

impl Key {
    /// The SQL expression of calls, if they have this; only constants.
    const fn of_calls(self) -> Option<&'static str> {
        match self {
            Self::Agent => Some("agent_id::text"),
            Self::Direction => Some("direction"),
            Self::Outcome => Some(CALL_OUTCOME),
            Self::Reason => Some("coalesce(reason, '')"),
            Self::Binding | Self::Channel => None,
        }
    }

    /// The SQL expression of sessions, if they have this; only constants.
    const fn of_sessions(self) -> Option<&'static str> {
        match self {
            Self::Agent => Some("agent_id::text"),
            Self::Binding => Some("binding_id::text"),
            Self::Channel => Some(CHANNEL),
            Self::Outcome => Some(SESSION_OUTCOME),
            Self::Reason => Some("coalesce(end_reason, '')"),
            Self::Direction => None,
        }
    }
}

/// Whether a session was created for a phone call.
const CHANNEL: &str =
    "CASE WHEN id IN (SELECT session_id FROM calls WHERE tenant_id = $1 AND is_primary)
                            THEN 'telephone' ELSE 'web' END";

/// Outcome of a session so far.
const SESSION_OUTCOME: &str = "CASE WHEN state IN ('ended', 'failed') THEN state ELSE 'open' END";

/// Outcome of a call so far.
const CALL_OUTCOME: &str = "CASE WHEN answered_at IS NOT NULL THEN 'answered' WHEN state IN ('failed', 'canceled') THEN state ELSE 'open' END";

/// Calls of one bucket, or of one key in it, if there is one.
#[derive(Clone, Debug, QueryableByName)]
#[expect(
    missing_docs,
    reason = "columns; times in seconds, percentiles 50 and 95"
)]
pub struct Calls {
    #[diesel(sql_type = Integer)]
    pub bucket: i32,
    #[diesel(sql_type = Nullable<Text>)]
    pub key: Option<String>,
    #[diesel(sql_type = BigInt)]
    pub calls: i64,
    #[diesel(sql_type = BigInt)]
    pub answered: i64,
    #[diesel(sql_type = Double)]
    pub ring_sum: f64,
    #[diesel(sql_type = Nullable<Array<Double>>)]
    pub ring: Option<Vec<f64>>,
    #[diesel(sql_type = Double)]
    pub setup_sum: f64,
    #[diesel(sql_type = Nullable<Array<Double>>)]
    pub setup: Option<Vec<f64>>,
    #[diesel(sql_type = Double)]
    pub talk_sum: f64,
    #[diesel(sql_type = Nullable<Array<Double>>)]
    pub talk: Option<Vec<f64>>,
}

/// The SQL of a grouping by this key: the key of a row, that of a group, and the sets. They are all of a bucket, and each
/// of its groups if there is a key.
const fn grouping(key: Option<&'static str>) -> (&'static str, &'static str, &'static str) {
    match key {
        Some(key) => (key, "key", "(), (key)"),
        // A group of one key would be sorted by it.
        None => ("NULL", "NULL::text", "()"),
    }
}

/// The buckets, each with its part of the span. What is sorted in one bucket after the other is sorted in half the time.
const BUCKETS: &str = "(SELECT n::int AS bucket, greatest(at, $2) AS since, coalesce(lead(at) OVER (ORDER BY n), $3) AS until
      FROM unnest($4) WITH ORDINALITY AS start (at, n)) AS buckets";

/// The SQL of a duration's sum and percentiles.
fn figure(name: &str) -> String {
    format!(
        "coalesce(sum({name}), 0) AS {name}_sum,
         percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY {name}) AS {name}"
    )
}

/// The SQL of the seconds between two columns.
fn seconds(from: &str, to: &str) -> String {
    format!("date_part('epoch', {to} - {from})")
}

/// Calls of each bucket, grouped by the key if one is given that calls have.
pub async fn calls(tx: &mut TenantTx, span: &Span, key: Option<Key>) -> Result<Vec<Calls>> {
    let (key, group, sets) = grouping(key.and_then(Key::of_calls));
    let query = format!(
        "SELECT bucket, figures.* FROM {BUCKETS}, LATERAL (
             SELECT {group} AS key, count(*) AS calls, count(answered_at) AS answered, {}, {}, {}
             FROM (SELECT {} AS key, answered_at, {} AS ring, {} AS setup, {} AS talk
                   FROM calls WHERE tenant_id = $1 AND created_at >= since AND created_at < until) AS counted
             GROUP BY GROUPING SETS ({sets}) HAVING count(*) > 0
         ) AS figures",
        figure("ring"),
        figure("setup"),
        figure("talk"),
        key,
        seconds("ringing_at", "coalesce(answered_at, ended_at)"),
        seconds("dialing_at", "answered_at"),
        seconds("answered_at", "ended_at"),
    );
    counted(tx, query, span).await
}

/// Number of calls of a bucket with this direction, outcome and reason.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct CallKinds {
    #[diesel(sql_type = Integer)]
    pub bucket: i32,
    #[diesel(sql_type = Text)]
    pub direction: String,
    #[diesel(sql_type = Text)]
    pub outcome: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    #[diesel(sql_type = BigInt)]
    pub calls: i64,
}

/// Calls by direction, outcome and reason.
pub async fn call_kinds(tx: &mut TenantTx, span: &Span) -> Result<Vec<CallKinds>> {
    let query = format!(
        "SELECT bucket, kinds.* FROM {BUCKETS}, LATERAL (
             SELECT direction, {CALL_OUTCOME} AS outcome, reason, count(*) AS calls
             FROM calls WHERE tenant_id = $1 AND created_at >= since AND created_at < until GROUP BY 1, 2, 3
         ) AS kinds"
    );
    counted(tx, query, span).await
}

/// Maximum concurrent calls of a bucket.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Peak {
    #[diesel(sql_type = Integer)]
    pub bucket: i32,
    #[diesel(sql_type = BigInt)]
    pub peak: i64,
}

/// Maximum concurrent calls, of those that were created in the span.
pub async fn peaks(tx: &mut TenantTx, span: &Span) -> Result<Vec<Peak>> {
    // The number of a call, in the order in which they began, less those that had ended: found in their ordered times.
    let query = "SELECT width_bucket(dialing_at, $4) AS bucket, max(n - width_bucket(dialing_at, (
             SELECT coalesce(array_agg(ended_at ORDER BY ended_at), '{}') FROM calls
             WHERE tenant_id = $1 AND created_at >= $2 AND created_at < $3 AND dialing_at IS NOT NULL AND ended_at IS NOT NULL
         ))) AS peak
         FROM (SELECT dialing_at, row_number() OVER (ORDER BY dialing_at) AS n FROM calls
               WHERE tenant_id = $1 AND created_at >= $2 AND created_at < $3 AND dialing_at IS NOT NULL) AS begun
         GROUP BY 1";
    counted(tx, query, span).await
}

/// Sessions of one bucket, or of one key in it, if there is one.
#[derive(Clone, Debug, QueryableByName)]
#[expect(
    missing_docs,
    reason = "columns; times in seconds, percentiles 50 and 95"
)]
pub struct Sessions {
    #[diesel(sql_type = Integer)]
    pub bucket: i32,
    #[diesel(sql_type = Nullable<Text>)]
    pub key: Option<String>,
    #[diesel(sql_type = BigInt)]
    pub sessions: i64,
    #[diesel(sql_type = BigInt)]
    pub failed: i64,
    #[diesel(sql_type = Double)]
    pub joining_sum: f64,
    #[diesel(sql_type = Nullable<Array<Double>>)]
    pub joining: Option<Vec<f64>>,
    #[diesel(sql_type = Double)]
    pub duration_sum: f64,
    #[diesel(sql_type = Nullable<Array<Double>>)]
    pub duration: Option<Vec<f64>>,
}

/// Sessions, how long their agents took to join, and how long they lasted from then on; grouped by the key if one is given
/// that sessions have.
pub async fn sessions(tx: &mut TenantTx, span: &Span, key: Option<Key>) -> Result<Vec<Sessions>> {
    let (key, group, sets) = grouping(key.and_then(Key::of_sessions));
    let query = format!(
        "SELECT bucket, figures.* FROM {BUCKETS}, LATERAL (
             SELECT {group} AS key, count(*) AS sessions, count(*) FILTER (WHERE state = 'failed') AS failed, {}, {}
             FROM (SELECT {key} AS key, state, {} AS joining, {} AS duration
                   FROM sessions WHERE tenant_id = $1 AND created_at >= since AND created_at < until) AS counted
             GROUP BY GROUPING SETS ({sets}) HAVING count(*) > 0
         ) AS figures",
        figure("joining"),
        figure("duration"),
        seconds("starting_at", "running_at"),
        seconds("running_at", "ended_at"),
    );
    counted(tx, query, span).await
}

/// Number of sessions of a bucket with this outcome and reason.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct SessionKinds {
    #[diesel(sql_type = Integer)]
    pub bucket: i32,
    #[diesel(sql_type = Text)]
    pub outcome: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    #[diesel(sql_type = BigInt)]
    pub sessions: i64,
}

/// Sessions by outcome and end reason.
pub async fn session_kinds(tx: &mut TenantTx, span: &Span) -> Result<Vec<SessionKinds>> {
    let query = format!(
        "SELECT bucket, kinds.* FROM {BUCKETS}, LATERAL (
             SELECT {SESSION_OUTCOME} AS outcome, end_reason AS reason, count(*) AS sessions
             FROM sessions WHERE tenant_id = $1 AND created_at >= since AND created_at < until GROUP BY 1, 2
         ) AS kinds"
    );
    counted(tx, query, span).await
}

/// Usage that workers have reported in one bucket.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Usage {
    #[diesel(sql_type = Integer)]
    pub bucket: i32,
    #[diesel(sql_type = BigInt)]
    pub input_tokens: i64,
    #[diesel(sql_type = BigInt)]
    pub output_tokens: i64,
    #[diesel(sql_type = Double)]
    pub audio_seconds: f64,
    #[diesel(sql_type = BigInt)]
    pub characters: i64,
}

/// Usage of models.
pub async fn usage(tx: &mut TenantTx, span: &Span) -> Result<Vec<Usage>> {
    let query = "SELECT width_bucket(created_at, $4) AS bucket, sum(input_tokens)::bigint AS input_tokens,
                sum(output_tokens)::bigint AS output_tokens, sum(audio_seconds) AS audio_seconds,
                sum(characters)::bigint AS characters
         FROM usage_records WHERE tenant_id = $1 AND created_at >= $2 AND created_at < $3 GROUP BY 1";
    counted(tx, query, span).await
}

/// Tool calls of one bucket.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct ToolCalls {
    #[diesel(sql_type = Integer)]
    pub bucket: i32,
    #[diesel(sql_type = BigInt)]
    pub calls: i64,
    #[diesel(sql_type = BigInt)]
    pub failures: i64,
}

/// Tool calls that have ended.
pub async fn tool_calls(tx: &mut TenantTx, span: &Span) -> Result<Vec<ToolCalls>> {
    let query = "SELECT width_bucket(at, $4) AS bucket, count(*) AS calls,
                count(*) FILTER (WHERE facts #>> '{tool_call,status}' = 'failed') AS failures
         FROM session_events
         WHERE tenant_id = $1 AND at >= $2 AND at < $3 AND kind = 'tool_call.finished' GROUP BY 1";
    counted(tx, query, span).await
}

/// Uploads, ingests and searches of one bucket.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Knowledge {
    #[diesel(sql_type = Integer)]
    pub bucket: i32,
    #[diesel(sql_type = BigInt)]
    pub files: i64,
    #[diesel(sql_type = BigInt)]
    pub bytes: i64,
    #[diesel(sql_type = BigInt)]
    pub chunks: i64,
    #[diesel(sql_type = BigInt)]
    pub searches: i64,
    #[diesel(sql_type = Double)]
    pub embedding_seconds: f64,
}

/// Files by when they were uploaded, chunks by when their ingest ended, searches by their time.
pub async fn knowledge(tx: &mut TenantTx, span: &Span) -> Result<Vec<Knowledge>> {
    let query = "SELECT width_bucket(at, $4) AS bucket, sum(files)::bigint AS files, sum(bytes)::bigint AS bytes,
                sum(chunks)::bigint AS chunks, sum(searches)::bigint AS searches, sum(seconds) AS embedding_seconds
         FROM (
             SELECT created_at AS at, 1 AS files, size AS bytes, 0 AS chunks, 0 AS searches, 0::float8 AS seconds
             FROM files WHERE tenant_id = $1 AND created_at >= $2 AND created_at < $3
             UNION ALL
             SELECT finished_at, 0, 0, chunks, 0, 0
             FROM ingests WHERE tenant_id = $1 AND finished_at >= $2 AND finished_at < $3 AND state = 'done'
             UNION ALL
             SELECT at, 0, 0, 0, searches, embedding_seconds
             FROM knowledge_usage WHERE tenant_id = $1 AND at >= $2 AND at < $3
         ) AS told GROUP BY 1";
    counted(tx, query, span).await
}

/// The rows of a statement that has the tenant, the span and its buckets as $1 to $4.
async fn counted<T>(tx: &mut TenantTx, query: impl Into<String>, span: &Span) -> Result<Vec<T>>
where
    T: QueryableByName<diesel::pg::Pg> + Send + 'static,
{
    let tenant = tx.tenant();
    Ok(diesel::sql_query(query)
        .bind::<SqlUuid, _>(tenant)
        .bind::<Timestamptz, _>(span.from)
        .bind::<Timestamptz, _>(span.to)
        .bind::<Array<Timestamptz>, _>(&span.starts)
        .prepared()
        .load(tx)
        .await?)
}
