//! Metrics of a tenant by time bucket, computed from the rows: an index-only scan of the span, one statement for
//! each kind of row.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};

use crate::{Result, TenantTx};

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

/// Gives the rest of this transaction memory for sorts: on disk they take twice as long.
pub async fn prepare(tx: &mut TenantTx) -> Result<()> {
    tx.batch_execute("SET LOCAL work_mem = '32MB'").await?;
    Ok(())
}

/// What calls are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns")]
pub enum Key {
    None,
    Agent,
    Direction,
    Outcome,
    Reason,
}

impl Key {
    /// The SQL expression; only constants.
    const fn sql(self) -> &'static str {
        match self {
            Self::None => "NULL::text",
            Self::Agent => "agent_id::text",
            Self::Direction => "direction",
            Self::Outcome => OUTCOME,
            Self::Reason => "coalesce(reason, '')",
        }
    }
}

/// Outcome of a call so far.
const OUTCOME: &str = "CASE WHEN answered_at IS NOT NULL THEN 'answered' WHEN state IN ('failed', 'canceled') THEN state ELSE 'open' END";

/// Calls of one bucket, or of one key in it.
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
    #[diesel(sql_type = Integer)]
    pub is_whole: i32,
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

/// Calls of each bucket, grouped by the key if one is given.
pub async fn calls(tx: &mut TenantTx, span: &Span, key: Key) -> Result<Vec<Calls>> {
    let sets = match key {
        Key::None => "(bucket, key)",
        _ => "(bucket), (bucket, key)",
    };
    let figure = |name: &str| {
        format!(
            "coalesce(sum({name}), 0) AS {name}_sum,
             percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY {name}) AS {name}"
        )
    };
    let seconds = |from: &str, to: &str| format!("date_part('epoch', {to} - {from})");
    let query = format!(
        "SELECT bucket, key, grouping(key) AS is_whole, count(*) AS calls, count(answered_at) AS answered,
                {}, {}, {}
         FROM (SELECT width_bucket(created_at, $4) AS bucket, {} AS key, answered_at,
                      {} AS ring, {} AS setup, {} AS talk
               FROM calls WHERE tenant_id = $1 AND created_at >= $2 AND created_at < $3) AS counted
         GROUP BY GROUPING SETS ({sets})",
        figure("ring"),
        figure("setup"),
        figure("talk"),
        key.sql(),
        seconds("ringing_at", "coalesce(answered_at, ended_at)"),
        seconds("dialing_at", "answered_at"),
        seconds("answered_at", "ended_at"),
    );
    counted(tx, query, span).await
}

/// Number of calls of a bucket with this direction, outcome and reason.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Kinds {
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
pub async fn kinds(tx: &mut TenantTx, span: &Span) -> Result<Vec<Kinds>> {
    let query = format!(
        "SELECT width_bucket(created_at, $4) AS bucket, direction, {OUTCOME} AS outcome, reason, count(*) AS calls
         FROM calls WHERE tenant_id = $1 AND created_at >= $2 AND created_at < $3 GROUP BY 1, 2, 3, 4"
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
    let query = "WITH lines AS MATERIALIZED (
             SELECT dialing_at, ended_at FROM calls
             WHERE tenant_id = $1 AND created_at >= $2 AND created_at < $3 AND dialing_at IS NOT NULL
         ), changes AS (
             SELECT dialing_at AS at, 1 AS change FROM lines
             UNION ALL SELECT ended_at, -1 FROM lines WHERE ended_at IS NOT NULL
         ), busy AS (
             SELECT at, change, sum(change) OVER (ORDER BY at, change ROWS UNBOUNDED PRECEDING) AS lines FROM changes
         )
         SELECT width_bucket(at, $4) AS bucket, max(lines) AS peak FROM busy WHERE change = 1 GROUP BY 1";
    counted(tx, query, span).await
}

/// Sessions of one bucket.
#[derive(Clone, Debug, QueryableByName)]
#[expect(
    missing_docs,
    reason = "columns; times in seconds, percentiles 50 and 95"
)]
pub struct Sessions {
    #[diesel(sql_type = Integer)]
    pub bucket: i32,
    #[diesel(sql_type = BigInt)]
    pub sessions: i64,
    #[diesel(sql_type = Double)]
    pub join_sum: f64,
    #[diesel(sql_type = Nullable<Array<Double>>)]
    pub join: Option<Vec<f64>>,
}

/// Sessions, and how long their agents took to join.
pub async fn sessions(tx: &mut TenantTx, span: &Span) -> Result<Vec<Sessions>> {
    let query = "SELECT width_bucket(created_at, $4) AS bucket, count(*) AS sessions,
                coalesce(sum(date_part('epoch', running_at - starting_at)), 0) AS join_sum,
                percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP
                    (ORDER BY date_part('epoch', running_at - starting_at)) AS join
         FROM sessions WHERE tenant_id = $1 AND created_at >= $2 AND created_at < $3 GROUP BY 1";
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
        .load(tx)
        .await?)
}
