//! Retries of jobs: exponential backoff after failures, and an end after too many.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_persistence::jobs::{CRASHED, Job, MAX_CRASHES, Outcome};

use super::{
    dead,
    error::{JobError, JobResult},
};
use crate::panics::Panicked;

/// Longest delay between two attempts.
const MAX_BACKOFF: TimeDelta = TimeDelta::seconds(15);

/// Derives the outcome of a job from its result. A job of the installation never becomes dead, since no request
/// would enqueue it again.
pub(super) fn outcome_of<'a>(
    job: &Job,
    result: &'a Result<JobResult, Panicked>,
    now: DateTime<Utc>,
) -> Outcome<'a> {
    let dies = |reason| match job.tenant_id {
        Some(_) => Outcome::Dead(reason),
        None => Outcome::Failed(now + dead::DELAY, reason),
    };
    match result {
        Ok(Ok(None)) => Outcome::Done,
        Ok(Ok(Some(at))) => Outcome::Again(*at),
        Ok(Err(JobError::Fail(reason))) => dies(reason),
        Ok(Err(JobError::NotYet(after))) => Outcome::Again(now + *after),
        Ok(Err(JobError::Retry(reason))) if job.attempts >= job.kind.max_attempts() => dies(reason),
        Ok(Err(JobError::Retry(reason))) => Outcome::Failed(now + backoff(job.attempts), reason),
        Err(Panicked) if job.crashes >= MAX_CRASHES => dies(CRASHED),
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
        Outcome::Dead(error) => {
            tracing::error!(%kind, %subject, attempts, crashes, error, "job is dead; it is attempted when it is scheduled again, and every hour");
        }
        Outcome::Done | Outcome::Again(_) => {}
    }
}

/// Delay before the next attempt: 0.25 s, doubled with every attempt, up to [`MAX_BACKOFF`].
fn backoff(attempts: i32) -> TimeDelta {
    let doublings = u32::try_from(attempts.clamp(1, 10) - 1).unwrap_or_default();
    TimeDelta::milliseconds(250 * (1 << doublings)).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use patchbay_domain::{TenantId, states::JobKind};
    use uuid::Uuid;

    use super::*;

    fn job(kind: JobKind, attempts: i32, crashes: i32) -> Job {
        Job {
            kind,
            subject_id: Uuid::nil(),
            tenant_id: (kind == JobKind::Session).then(|| TenantId::new(Uuid::nil())),
            attempts,
            crashes,
            generation: 1,
            claim: Uuid::nil(),
            traceparent: None,
        }
    }

    fn outcome(job: &Job, result: Result<JobResult, Panicked>) -> Outcome<'static> {
        outcome_of(job, Box::leak(Box::new(result)), DateTime::UNIX_EPOCH)
    }

    fn after(milliseconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds)
    }

    #[test]
    fn a_crashing_job_is_retried_and_becomes_dead_in_the_end() {
        let crashed = |kind, crashes| outcome(&job(kind, 3, crashes), Err(Panicked));
        let of_tenant = |crashes| crashed(JobKind::Session, crashes);
        assert_eq!(of_tenant(1), Outcome::Crashed(after(250)));
        assert_eq!(of_tenant(2), Outcome::Crashed(after(500)));
        assert_eq!(of_tenant(MAX_CRASHES - 1), Outcome::Crashed(after(15_000)));
        assert_eq!(of_tenant(MAX_CRASHES), Outcome::Dead(CRASHED));
        // The last crash ended the process, so it could not be recorded as dead.
        assert_eq!(of_tenant(MAX_CRASHES + 1), Outcome::Dead(CRASHED));
        assert_eq!(
            crashed(JobKind::Purge, MAX_CRASHES),
            Outcome::Failed(after(3_600_000), CRASHED),
            "no request would enqueue it again"
        );
    }

    #[test]
    fn a_failing_job_is_retried_until_its_attempts_are_used_up() {
        let failed = |kind, attempts| {
            let error = JobError::retry("unreachable");
            outcome(&job(kind, attempts, MAX_CRASHES), Ok(Err(error)))
        };
        let most = JobKind::Session.max_attempts();
        for (attempts, delay) in [(1, 250), (3, 1_000), (most - 1, 15_000)] {
            let retried = Outcome::Failed(after(delay), "unreachable");
            assert_eq!(failed(JobKind::Session, attempts), retried);
        }
        let dead = Outcome::Dead("unreachable");
        assert_eq!(failed(JobKind::Session, most), dead);
        let again = Outcome::Failed(after(15_000), "unreachable");
        assert_eq!(failed(JobKind::Purge, most), again);
        let hopeless = Ok(Err(JobError::Fail("unreadable".to_owned())));
        let dead = outcome(&job(JobKind::Session, 1, 0), hopeless);
        assert_eq!(dead, Outcome::Dead("unreadable"));
        let waiting = Ok(Err(JobError::NotYet(TimeDelta::seconds(2))));
        let waits = outcome(&job(JobKind::Session, most, 0), waiting);
        assert_eq!(waits, Outcome::Again(after(2_000)), "to wait is no failure");
    }
}
