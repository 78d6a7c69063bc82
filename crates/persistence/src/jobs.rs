//! Jobs: at most one for a kind and subject, claimed under a lease.
//!
//! A job says "check this subject", never "do this": its worker reads the subject's state and acts on it, so a
//! job that runs twice, late or after a crash does no harm.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};
use patchbay_domain::{TenantId, states::JobKind};
use uuid::Uuid;

use crate::{Result, schema::jobs};

/// A job is dead after this many consecutive crashes.
pub const MOST_CRASHES: i32 = 10;

/// The stored error of a job that crashed; the log has more.
const CRASHED: &str = "it panicked, or ended the process";

/// Outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Nothing is left to do.
    Done,
    /// To be run again at this time.
    Again(DateTime<Utc>),
    /// It failed with this error, and is retried at this time.
    Failed(DateTime<Utc>, &'a str),
    /// It crashed, and is retried at this time.
    Crashed(DateTime<Utc>),
    /// It has crashed too often.
    Dead,
}

/// A claimed job.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Job {
    #[diesel(sql_type = Text)]
    pub kind: JobKind,
    #[diesel(sql_type = SqlUuid)]
    pub subject_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub tenant_id: Option<TenantId>,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    #[diesel(sql_type = Integer)]
    pub crashes: i32,
    #[diesel(sql_type = BigInt)]
    pub generation: i64,
    #[diesel(sql_type = Timestamptz)]
    pub claimed_until: DateTime<Utc>,
}

/// Schedules a check of the subject at `run_at` or earlier. A running job runs once more when it ends, and a dead
/// one gets one more attempt. Listeners are notified at commit.
pub async fn enqueue(
    connection: &mut AsyncPgConnection,
    kind: JobKind,
    subject: Uuid,
    tenant: Option<TenantId>,
    run_at: DateTime<Utc>,
) -> Result<()> {
    diesel::insert_into(jobs::table)
        .values((
            jobs::kind.eq(kind),
            jobs::subject_id.eq(subject),
            jobs::tenant_id.eq(tenant),
            jobs::run_at.eq(run_at),
        ))
        .on_conflict((jobs::kind, jobs::subject_id))
        .do_update()
        .set((
            jobs::run_at.eq(diesel::dsl::sql::<Timestamptz>(
                "least(jobs.run_at, excluded.run_at)",
            )),
            jobs::generation.eq(jobs::generation + 1),
            jobs::dead_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(connection)
        .await?;
    connection.batch_execute("NOTIFY patchbay_jobs").await?;
    Ok(())
}

/// Creates a periodic job unless it exists.
pub async fn seed(
    connection: &mut AsyncPgConnection,
    kind: JobKind,
    run_at: DateTime<Utc>,
) -> Result<()> {
    diesel::insert_into(jobs::table)
        .values((
            jobs::kind.eq(kind),
            jobs::subject_id.eq(Uuid::nil()),
            jobs::run_at.eq(run_at),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .await?;
    Ok(())
}

/// Claims up to `limit` due jobs until `lease`; ingests, which take long, are claimed separately.
pub async fn claim(
    connection: &mut AsyncPgConnection,
    times: (DateTime<Utc>, DateTime<Utc>),
    limit: i64,
) -> Result<Vec<Job>> {
    let due = "SELECT kind, subject_id FROM jobs
               WHERE run_at <= $1 AND dead_at IS NULL AND kind <> 'ingest'
                 AND (claimed_until IS NULL OR claimed_until < $1)
               ORDER BY run_at LIMIT $3 FOR UPDATE SKIP LOCKED";
    claim_these(connection, due, times, limit).await
}

/// Claims ingests. The tenant with the fewest running ingests is next, and among equals the one whose last claim
/// is the oldest; of its files the one that has waited longest.
pub async fn claim_ingests(
    connection: &mut AsyncPgConnection,
    times: (DateTime<Utc>, DateTime<Utc>),
    limit: i64,
) -> Result<Vec<Job>> {
    let due = "SELECT j.kind, j.subject_id FROM jobs j JOIN (
                   SELECT kind, subject_id, tenant_id, is_due,
                          count(*) FILTER (WHERE claimed_until >= $1) OVER (PARTITION BY tenant_id)
                              + row_number() OVER (PARTITION BY tenant_id, is_due ORDER BY run_at, subject_id) AS turn
                   FROM (SELECT *, run_at <= $1 AND coalesce(claimed_until < $1, true) AS is_due
                         FROM jobs WHERE kind = 'ingest' AND dead_at IS NULL) AS ingests
               ) AS next USING (kind, subject_id) LEFT JOIN ingest_turns t ON t.tenant_id = next.tenant_id
               WHERE next.is_due AND coalesce(j.claimed_until < $1, true)
               ORDER BY next.turn, t.at NULLS FIRST, j.run_at, j.subject_id LIMIT $3 FOR UPDATE OF j SKIP LOCKED";
    claim_these(connection, due, times, limit).await
}

async fn claim_these(
    connection: &mut AsyncPgConnection,
    due: &str,
    (now, lease): (DateTime<Utc>, DateTime<Utc>),
    limit: i64,
) -> Result<Vec<Job>> {
    let statement = format!(
        "WITH due AS ({due}), claimed AS (
             UPDATE jobs SET claimed_until = $2, attempts = attempts + 1, crashes = crashes + 1
             FROM due WHERE jobs.kind = due.kind AND jobs.subject_id = due.subject_id
             RETURNING jobs.kind, jobs.subject_id, jobs.tenant_id, jobs.attempts, jobs.crashes,
                       jobs.generation, jobs.claimed_until
         ), turns AS (
             INSERT INTO ingest_turns (tenant_id, at)
             SELECT DISTINCT tenant_id, $1 FROM claimed WHERE kind = 'ingest' ORDER BY tenant_id
             ON CONFLICT (tenant_id) DO UPDATE SET at = excluded.at
         )
         SELECT * FROM claimed"
    );
    Ok(diesel::sql_query(statement)
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(lease)
        .bind::<BigInt, _>(limit)
        .load(connection)
        .await?)
}

/// Extends a claim, unless it has been lost.
pub async fn heartbeat(
    connection: &mut AsyncPgConnection,
    job: &mut Job,
    lease: DateTime<Utc>,
) -> Result<()> {
    let ours = jobs::table
        .find((job.kind, job.subject_id))
        .filter(jobs::claimed_until.eq(job.claimed_until));
    let kept = diesel::update(ours)
        .set(jobs::claimed_until.eq(lease))
        .execute(connection)
        .await?;
    if kept == 1 {
        job.claimed_until = lease;
    }
    Ok(())
}

/// Releases a job. One that was scheduled again meanwhile is due at once. If the claim was lost, the job is left
/// unchanged.
pub async fn release(
    connection: &mut AsyncPgConnection,
    job: &Job,
    now: DateTime<Utc>,
    outcome: Outcome<'_>,
) -> Result<()> {
    let ours = || {
        jobs::table
            .find((job.kind, job.subject_id))
            .filter(jobs::claimed_until.eq(job.claimed_until))
    };
    let unchanged = ours().filter(jobs::generation.eq(job.generation));
    let free = jobs::claimed_until.eq(None::<DateTime<Utc>>);
    let crashes = match outcome {
        // The claim has counted this attempt.
        Outcome::Crashed(_) => None,
        // One attempt is left, for a job that is scheduled again.
        Outcome::Dead => Some(MOST_CRASHES - 1),
        _ => Some(0),
    };
    let crashes = crashes.map(|count| jobs::crashes.eq(count));
    let (run_at, attempts, error, dead_at) = match outcome {
        Outcome::Done => (now, 0, None, None),
        Outcome::Again(at) => (at, 0, None, None),
        Outcome::Failed(at, words) => (at, job.attempts, Some(words), None),
        Outcome::Crashed(at) => (at, job.attempts, Some(CRASHED), None),
        Outcome::Dead => (now, job.attempts, Some(CRASHED), Some(now)),
    };
    let done = if outcome == Outcome::Done {
        diesel::delete(unchanged).execute(connection).await?
    } else {
        let next = (
            jobs::run_at.eq(run_at),
            free,
            crashes,
            jobs::attempts.eq(attempts),
            jobs::last_error.eq(error),
            jobs::dead_at.eq(dead_at),
        );
        let update = diesel::update(unchanged).set(next);
        update.execute(connection).await?
    };
    if done == 0 {
        let next = (jobs::run_at.eq(now), free, crashes);
        let update = diesel::update(ours()).set(next);
        update.execute(connection).await?;
    }
    Ok(())
}

/// Gives jobs that died before `before` one more attempt, as the cause may have been fixed; returns their number.
pub async fn revive(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    before: DateTime<Utc>,
) -> Result<usize> {
    let dead = jobs::table.filter(jobs::dead_at.lt(before));
    let revived = diesel::update(dead).set((
        jobs::dead_at.eq(None::<DateTime<Utc>>),
        jobs::run_at.eq(now),
    ));
    Ok(revived.execute(connection).await?)
}

/// When the next unclaimed job is due: an ingest, or any other.
pub async fn next_due(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    ingests: bool,
) -> Result<Option<DateTime<Utc>>> {
    Ok(jobs::table
        .filter(jobs::dead_at.is_null())
        .filter(jobs::kind.eq(JobKind::Ingest).eq(ingests))
        .filter(
            jobs::claimed_until
                .is_null()
                .or(jobs::claimed_until.lt(now)),
        )
        .select(diesel::dsl::min(jobs::run_at))
        .first(connection)
        .await?)
}
