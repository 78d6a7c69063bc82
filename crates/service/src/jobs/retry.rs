//! What becomes of a job after a try: pauses that grow, and the dead, which have one more try now and then.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_persistence::jobs::{self, Job, MOST_CRASHES, Outcome};

use super::error::Ended;
use crate::{Service, panics::Panicked};

/// Longest pause between two tries.
const MAX_BACKOFF: TimeDelta = TimeDelta::seconds(15);

/// Pause after which what has crashed too often may have been mended.
const REST: TimeDelta = TimeDelta::hours(1);

/// What becomes of a job. One of the installation, which nobody would ask for anew, never dies.
pub(super) fn outcome_of<'a>(
    job: &Job,
    ended: &'a Result<Ended, Panicked>,
    now: DateTime<Utc>,
) -> Outcome<'a> {
    let is_dead = job.crashes >= MOST_CRASHES;
    match ended {
        Ok(Ok(None)) => Outcome::Done,
        Ok(Ok(Some(at))) => Outcome::Again(*at),
        Ok(Err(words)) => Outcome::Failed(now + backoff(job.attempts), words),
        Err(Panicked) if is_dead && job.tenant_id.is_some() => Outcome::Dead,
        Err(Panicked) if is_dead => Outcome::Again(now + REST),
        Err(Panicked) => Outcome::Crashed(now + backoff(job.crashes)),
    }
}

/// Says in the log what became of it.
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
            tracing::error!(%kind, %subject, attempts, crashes, "job crashed; it is tried again");
        }
        Outcome::Dead => {
            tracing::error!(%kind, %subject, crashes, "job is dead; it has one more try when it is asked for, and every hour");
        }
        Outcome::Done | Outcome::Again(_) => {}
    }
}

/// 0.25 s, doubled with every attempt.
fn backoff(attempts: i32) -> TimeDelta {
    let doublings = u32::try_from(attempts.clamp(1, 10) - 1).unwrap_or_default();
    TimeDelta::milliseconds(250 * (1 << doublings)).min(MAX_BACKOFF)
}

/// Gives jobs that have been dead for a while one more try.
pub(super) async fn revive(service: &Service) -> crate::Result<()> {
    let now = service.clock.now();
    let mut connection = service.db.connection().await?;
    let count = jobs::revive(&mut connection, now, now - REST).await?;
    if count > 0 {
        tracing::warn!(count, "dead jobs are tried once more");
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
    fn what_crashes_is_tried_again_and_dies_in_the_end() {
        let now = DateTime::UNIX_EPOCH;
        let judged = |crashes, tenant| outcome_of(&job(crashes, tenant), &Err(Panicked), now);
        let after = |milliseconds| Outcome::Crashed(now + TimeDelta::milliseconds(milliseconds));
        assert_eq!(judged(1, true), after(250));
        assert_eq!(judged(2, true), after(500));
        assert_eq!(judged(MOST_CRASHES - 1, true), after(15_000));
        assert_eq!(judged(MOST_CRASHES, true), Outcome::Dead);
        // The process died of it, so nobody could say so.
        assert_eq!(judged(MOST_CRASHES + 1, true), Outcome::Dead);
        assert_eq!(
            judged(MOST_CRASHES, false),
            Outcome::Again(now + REST),
            "nobody would ask for it anew"
        );
        let failed = Ok(Err("no".to_owned()));
        let outcome = outcome_of(&job(MOST_CRASHES, true), &failed, now);
        assert_eq!(outcome, Outcome::Failed(now + TimeDelta::seconds(1), "no"));
    }
}
