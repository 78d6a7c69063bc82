//! Claims: one process at a time works on a job. Leases are timed by PostgreSQL's clock, which all processes share.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{Array, BigInt, Double, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use patchbay_domain::states::JobKind;

use super::job::{CRASHED, Claim, Job, MAX_CRASHES, Outcome};
use crate::{Result, prepared::Prepare as _, schema::jobs};

/// Claims up to `limit` jobs that are due at `now`, for the time of the lease; ingests, which take long, are claimed
/// separately.
pub async fn claim(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    lease: Duration,
    limit: i64,
) -> Result<Vec<Job>> {
    let due = "SELECT kind, subject_id FROM jobs
               WHERE run_at <= $1 AND dead_at IS NULL AND kind <> 'ingest' AND kind = ANY($4)
                 AND (claimed_until IS NULL OR claimed_until < now())
               ORDER BY run_at LIMIT $3 FOR UPDATE SKIP LOCKED";
    claim_these(connection, due, (now, lease), limit).await
}

/// Claims ingests. The tenant with the fewest running ingests is next, and among equals the one whose last claim
/// is the oldest; of its files the one that has waited longest.
pub async fn claim_ingests(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    lease: Duration,
    limit: i64,
) -> Result<Vec<Job>> {
    let due = "SELECT j.kind, j.subject_id FROM jobs j JOIN (
                   SELECT kind, subject_id, tenant_id, is_due,
                          count(*) FILTER (WHERE claimed_until >= now()) OVER (PARTITION BY tenant_id)
                              + row_number() OVER (PARTITION BY tenant_id, is_due ORDER BY run_at, subject_id) AS turn
                   FROM (SELECT *, run_at <= $1 AND coalesce(claimed_until < now(), true) AS is_due
                         FROM jobs WHERE kind = 'ingest' AND kind = ANY($4) AND dead_at IS NULL) AS ingests
               ) AS next USING (kind, subject_id) LEFT JOIN ingest_turns t ON t.tenant_id = next.tenant_id
               WHERE next.is_due AND coalesce(j.claimed_until < now(), true)
               ORDER BY next.turn, t.at NULLS FIRST, j.run_at, j.subject_id LIMIT $3 FOR UPDATE OF j SKIP LOCKED";
    claim_these(connection, due, (now, lease), limit).await
}

async fn claim_these(
    connection: &mut AsyncPgConnection,
    due: &str,
    (now, lease): (DateTime<Utc>, Duration),
    limit: i64,
) -> Result<Vec<Job>> {
    let statement = format!(
        "WITH due AS ({due}), claimed AS (
             UPDATE jobs SET claimed_until = now() + make_interval(secs => $2), claim = gen_random_uuid(),
                    attempts = attempts + 1, crashes = crashes + 1
             FROM due WHERE jobs.kind = due.kind AND jobs.subject_id = due.subject_id
             RETURNING jobs.kind, jobs.subject_id, jobs.tenant_id, jobs.attempts, jobs.crashes,
                       jobs.generation, jobs.claim, jobs.traceparent
         ), turns AS (
             INSERT INTO ingest_turns (tenant_id, at)
             SELECT DISTINCT tenant_id, $1 FROM claimed WHERE kind = 'ingest' ORDER BY tenant_id
             ON CONFLICT (tenant_id) DO UPDATE SET at = excluded.at
         )
         SELECT * FROM claimed"
    );
    Ok(diesel::sql_query(statement)
        .bind::<Timestamptz, _>(now)
        .bind::<Double, _>(lease.as_secs_f64())
        .bind::<BigInt, _>(limit)
        .bind::<Array<Text>, _>(JobKind::ALL.map(JobKind::as_str).to_vec())
        .load(connection)
        .await?)
}

/// Extends a claim by the time of the lease; false if it has been lost.
pub async fn heartbeat(
    connection: &mut AsyncPgConnection,
    claim: &Claim,
    lease: Duration,
) -> Result<bool> {
    let until = sql::<Nullable<Timestamptz>>("now() + make_interval(secs => ")
        .bind::<Double, _>(lease.as_secs_f64())
        .sql(")");
    let extended = diesel::update(jobs::table.find((claim.kind, claim.subject_id)))
        .filter(jobs::claim.eq(claim.token))
        .set(jobs::claimed_until.eq(until));
    Ok(extended.prepared().execute(connection).await? == 1)
}

/// Whether the claim is still held; if so, nobody can take it before the transaction ends.
///
/// The lock is the weakest that a claim conflicts with, so that heartbeats and requests that schedule the job do not
/// wait. It is taken last, after the locks on data, as `enqueue` does.
pub async fn hold(connection: &mut AsyncPgConnection, claim: &Claim) -> Result<bool> {
    let held: Option<uuid::Uuid> = jobs::table
        .find((claim.kind, claim.subject_id))
        .filter(jobs::claim.eq(claim.token))
        .select(jobs::id)
        .for_key_share()
        .first(connection)
        .await
        .optional()?;
    Ok(held.is_some())
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
            .filter(jobs::claim.eq(job.claim))
    };
    let unchanged = ours().filter(jobs::generation.eq(job.generation));
    let free = (
        jobs::claimed_until.eq(None::<DateTime<Utc>>),
        jobs::claim.eq(None::<uuid::Uuid>),
    );
    let crashes = match outcome {
        // The claim has counted this attempt.
        Outcome::Crashed(_) => None,
        // One attempt is left, for a job that is scheduled again.
        Outcome::Dead(_) => Some(job.crashes.min(MAX_CRASHES) - 1),
        _ => Some(0),
    };
    let crashes = crashes.map(|count| jobs::crashes.eq(count));
    let (run_at, attempts, error, dead_at) = match outcome {
        Outcome::Done => (now, 0, None, None),
        Outcome::Again(at) => (at, 0, None, None),
        Outcome::Failed(at, reason) => (at, job.attempts, Some(reason), None),
        Outcome::Crashed(at) => (at, job.attempts, Some(CRASHED), None),
        Outcome::Dead(reason) => (now, job.attempts, Some(reason), Some(now)),
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
        update.prepared().execute(connection).await?
    };
    if done == 0 {
        let next = (jobs::run_at.eq(now), free, crashes);
        let update = diesel::update(ours()).set(next);
        update.prepared().execute(connection).await?;
    }
    Ok(())
}
