//! Retries of jobs: exponential backoff after failures, and occasional attempts of dead jobs.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_persistence::jobs::{self, Job, MOST_CRASHES, Outcome};

use super::error::JobResult;
use crate::{Service, panics::Panicked};

/// Longest delay between two attempts.
const MAX_BACKOFF: TimeDelta = TimeDelta::seconds(15);

/// Delay before another attempt of a job that has crashed too often; its cause may have been fixed by then.
const DEAD_JOB_DELAY: TimeDelta = TimeDelta::hours(1);

/// Derives the outcome of a job from its result. A job of the installation never becomes dead, since no request
/// would enqueue it again.
pub(super) fn outcome_of<'a>(
    job: &Job,
    result: &'a Result<JobResult, Panicked>,
    now: DateTime<Utc>,
) -> Outcome<'a> {
    let is_dead = job.crashes >= MOST_CRASHES;
    match result {
        Ok(Ok(None)) => Outcome::Done,
        Ok(Ok(Some(at))) => Outcome::Again(*at),
        Ok(Err(message)) => Outcome::Failed(now + backoff(job.attempts), message),
        Err(Panicked) if is_dead && job.tenant_id.is_some() => Outcome::Dead,
        Err(Panicked) if is_dead => Outcome::Again(now + DEAD_JOB_DELAY),
        Err(Panicked) => Outcome::Crashed(now + backoff(job.crashes)),
    }
}

/// Logs the outcome of a job that failed or crashed.
pub(super) fn log_outcome(job: &Job, outcome: Outcome<'_>) {
    let Job {
        kind,
        attempts,
        crashes,
        ..
    } = job;
    let subject = job.subject_id;
    match outcome {
        Outcome::Failed(_, error) => {
            tracing::warn!(%kind, %subject, attempts, error, "job failed");
        }
        Outcome::Crashed(_) => {
            tracing::error!(%kind, %subject, attempts, crashes, "job crashed; it will be retried");
        }
        Outcome::Dead => {
            tracing::error!(%kind, %subject, crashes, "job is dead; it is attempted once when it is enqueued again, and every hour");
        }
        Outcome::Done | Outcome::Again(_) => {}
    }
}

/// Delay before the next attempt: 0.25 s, doubled with every attempt, up to [`MAX_BACKOFF`].
fn backoff(attempts: i32) -> TimeDelta {
    let doublings = u32::try_from(attempts.clamp(1, 10) - 1).unwrap_or_default();
    TimeDelta::milliseconds(250 * (1 << doublings)).min(MAX_BACKOFF)
}

/// Makes jobs that have been dead for [`DEAD_JOB_DELAY`] due for one more attempt.
pub(super) async fn retry_dead(service: &Service) -> crate::Result<()> {
    let now = service.clock.now();
    let mut connection = service.db.connection().await?;
    let count = jobs::revive(&mut connection, now, now - DEAD_JOB_DELAY).await?;
    if count > 0 {
        tracing::warn!(count, "dead jobs are attempted once more");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn job(crashes: i32, tenant: bool) -> Job {
        Job {
            kind: patchbay_domain::states::JobKind::Session,
            subject_id: Uuid::nil(),
            tenant_id: tenant.then(|| patchbay_domain::TenantId::new(Uuid::nil())),
            attempts: 3,
            crashes,
            generation: 1,
            claimed_until: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_crashing_job_is_retried_and_becomes_dead_in_the_end() {
        let now = DateTime::UNIX_EPOCH;
        let outcome = |crashes, tenant| outcome_of(&job(crashes, tenant), &Err(Panicked), now);
        let retried_after =
            |milliseconds| Outcome::Crashed(now + TimeDelta::milliseconds(milliseconds));
        assert_eq!(outcome(1, true), retried_after(250));
        assert_eq!(outcome(2, true), retried_after(500));
        assert_eq!(outcome(MOST_CRASHES - 1, true), retried_after(15_000));
        assert_eq!(outcome(MOST_CRASHES, true), Outcome::Dead);
        // The last crash ended the process, so it could not be recorded as dead.
        assert_eq!(outcome(MOST_CRASHES + 1, true), Outcome::Dead);
        assert_eq!(
            outcome(MOST_CRASHES, false),
            Outcome::Again(now + DEAD_JOB_DELAY),
            "no request would enqueue it again"
        );
        let failed = Ok(Err("unreachable".to_owned()));
        let outcome = outcome_of(&job(MOST_CRASHES, true), &failed, now);
        assert_eq!(
            outcome,
            Outcome::Failed(now + TimeDelta::seconds(1), "unreachable")
        );
    }
}
