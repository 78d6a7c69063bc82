//! What metrics tell of the whole installation at a time, whichever process asks.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Double, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use patchbay_domain::TenantId;
use uuid::Uuid;

use crate::{Db, Result};

/// Jobs of one kind.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Jobs {
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = BigInt)]
    pub due: i64,
    #[diesel(sql_type = BigInt)]
    pub running: i64,
    #[diesel(sql_type = BigInt)]
    pub dead: i64,
    /// How long the oldest one that nothing works on has been due, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub oldest_due: Option<f64>,
}

/// Webhook events that have not been applied.
#[derive(Clone, Debug, QueryableByName)]
pub struct Events {
    /// Their number.
    #[diesel(sql_type = BigInt)]
    pub pending: i64,
    /// Age of the oldest one in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub oldest: Option<f64>,
}

/// Live workers of one name.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Workers {
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = BigInt)]
    pub workers: i64,
    #[diesel(sql_type = BigInt)]
    pub capacity: i64,
    #[diesel(sql_type = BigInt)]
    pub running: i64,
}

/// Live sessions or calls in one state.
#[derive(Clone, Debug, QueryableByName)]
pub struct Live {
    /// `session` or `call`.
    #[diesel(sql_type = Text)]
    pub subject: String,
    /// Their state.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// The direction of calls; empty for sessions.
    #[diesel(sql_type = Text)]
    pub direction: String,
    /// Their number.
    #[diesel(sql_type = BigInt)]
    pub number: i64,
}

/// Jobs by kind.
pub async fn jobs(connection: &mut AsyncPgConnection, now: DateTime<Utc>) -> Result<Vec<Jobs>> {
    let jobs = "SELECT kind, count(*) FILTER (WHERE is_due) AS due, count(*) FILTER (WHERE is_running) AS running,
                       count(*) FILTER (WHERE dead_at IS NOT NULL) AS dead,
                       extract(epoch FROM $1 - min(run_at) FILTER (WHERE is_due))::float8 AS oldest_due
                FROM (SELECT *, dead_at IS NULL AND claimed_until >= now() IS TRUE AS is_running,
                             dead_at IS NULL AND run_at <= $1 AND claimed_until >= now() IS NOT TRUE AS is_due
                      FROM jobs) AS jobs
                GROUP BY kind";
    let jobs = diesel::sql_query(jobs).bind::<Timestamptz, _>(now);
    Ok(jobs.load(connection).await?)
}

/// Webhook events that have not been applied.
pub async fn events(connection: &mut AsyncPgConnection, now: DateTime<Utc>) -> Result<Events> {
    let events =
        "SELECT count(*) AS pending, extract(epoch FROM $1 - min(received_at))::float8 AS oldest
                  FROM webhook_events WHERE applied_at IS NULL";
    let events = diesel::sql_query(events).bind::<Timestamptz, _>(now);
    Ok(events.get_result(connection).await?)
}

/// Workers by name that were seen after this time; a name whose workers are all gone has none.
pub async fn workers(
    connection: &mut AsyncPgConnection,
    alive_after: DateTime<Utc>,
) -> Result<Vec<Workers>> {
    let workers = "SELECT worker_name AS name, count(*) FILTER (WHERE is_alive) AS workers,
                          coalesce(sum(capacity) FILTER (WHERE is_alive), 0)::bigint AS capacity,
                          coalesce(sum(running) FILTER (WHERE is_alive), 0)::bigint AS running
                   FROM (SELECT *, ended_at IS NULL AND seen_at > $1 AS is_alive FROM workers) AS workers
                   GROUP BY worker_name";
    let workers = diesel::sql_query(workers).bind::<Timestamptz, _>(alive_after);
    Ok(workers.load(connection).await?)
}

/// Live sessions and calls by state.
pub async fn live(db: &Db) -> Result<Vec<Live>> {
    let mut tx = db.begin(TenantId::new(Uuid::nil())).await?;
    let live = "SELECT subject, state, direction, sum(number)::bigint AS number
                FROM live_counts() GROUP BY subject, state, direction";
    let live = diesel::sql_query(live).load(&mut *tx).await?;
    tx.finish();
    Ok(live)
}
