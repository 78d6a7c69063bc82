//! Claims jobs and runs them.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_persistence::jobs::{self, Job, MOST_CRASHES, Outcome};
use tokio::{sync::Semaphore, time::timeout};

use super::Shutdown;
use crate::{
    app::App,
    error::ApiError,
    flows::{ingest, objects, purge, sip_sync, sync},
    panics::{Panicked, caught},
};

/// Jobs that run at a time.
const PARALLEL: usize = 32;
/// Longest pause between two tries.
const MAX_BACKOFF: TimeDelta = TimeDelta::seconds(15);
/// Pause after which what has crashed too often may have been mended.
const REST: TimeDelta = TimeDelta::hours(1);

/// When a job is due again, if ever, or why it failed.
type Ended = Result<Option<DateTime<Utc>>, String>;

/// Which jobs a loop runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// Ingests, which take long and must not keep others waiting.
    Ingests,
    /// All others.
    Others,
}

/// The loop of all jobs but ingests.
pub async fn run(app: Arc<App>, shutdown: Shutdown) {
    work_off(app, shutdown, Lane::Others, PARALLEL).await;
}

/// The loop of ingests.
pub async fn run_ingests(app: Arc<App>, shutdown: Shutdown) {
    let parallel = app.settings.knowledge.ingest_parallel.max(1);
    work_off(app, shutdown, Lane::Ingests, parallel).await;
}

/// Claims what is due, runs it, waits for a notification or the poll.
async fn work_off(app: Arc<App>, mut shutdown: Shutdown, lane: Lane, parallel: usize) {
    let slots = Arc::new(Semaphore::new(parallel));
    let due = match lane {
        Lane::Ingests => &app.ingest_due,
        Lane::Others => &app.job_due,
    };
    let mut seeded = lane == Lane::Ingests;
    while !*shutdown.borrow() {
        seeded = seeded || seed(&app).await;
        match claim(&app, lane, slots.available_permits()).await {
            Ok(claimed) if !claimed.is_empty() => {
                for job in claimed {
                    let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                        return;
                    };
                    let app = Arc::clone(&app);
                    tokio::spawn(async move {
                        run_one(&app, job).await;
                        drop(slot);
                    });
                }
                continue;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "no jobs can be claimed"),
        }
        // With every slot taken there is nothing to ask for until one is given back.
        let pause = match slots.available_permits() {
            0 => app.settings.job_poll.into(),
            _ => pause(&app, lane).await,
        };
        tokio::select! {
            () = due.notified() => {}
            () = tokio::time::sleep(pause) => {}
            _ = shutdown.changed() => {}
        }
    }
    // What runs is left to finish; what does not is claimed anew when its lease ends.
    let _ = timeout(
        Duration::from_secs(10),
        slots.acquire_many(u32::try_from(parallel).unwrap_or(1)),
    )
    .await;
}

/// Makes sure of the periodic jobs; false where the database could not be asked.
async fn seed(app: &App) -> bool {
    let seeded = async {
        let mut connection = app.db.connection().await?;
        for kind in [
            jobs::ROOM_SWEEP,
            jobs::SIP_SWEEP,
            jobs::OBJECT_SWEEP,
            jobs::PURGE,
        ] {
            jobs::seed(&mut connection, kind, app.clock.now()).await?;
        }
        Ok::<_, patchbay_persistence::Error>(())
    };
    let outcome = seeded.await;
    if let Err(error) = &outcome {
        tracing::warn!(%error, "the periodic jobs could not be scheduled yet");
    }
    outcome.is_ok()
}

/// Until the next job is due, but never longer than the poll.
async fn pause(app: &App, lane: Lane) -> Duration {
    let poll = app.settings.job_poll.into();
    let due = async {
        let mut connection = app.db.connection().await?;
        jobs::next_due(&mut connection, app.clock.now(), lane == Lane::Ingests).await
    };
    match due.await {
        Ok(Some(due)) => {
            let wait = (due - app.clock.now()).to_std().unwrap_or_default();
            // What is due already was not claimed for want of a slot, or by another just now.
            wait.min(poll).max(Duration::from_millis(20))
        }
        _ => poll,
    }
}

fn lease(app: &App) -> DateTime<Utc> {
    app.clock.now() + Duration::from(app.settings.job_lease)
}

async fn claim(app: &App, lane: Lane, free: usize) -> patchbay_persistence::Result<Vec<Job>> {
    let limit = i64::try_from(free.min(16)).unwrap_or_default();
    let times = (app.clock.now(), lease(app));
    let mut connection = app.db.connection().await?;
    match lane {
        Lane::Ingests => jobs::claim_ingests(&mut connection, times, limit).await,
        Lane::Others => jobs::claim(&mut connection, times, limit).await,
    }
}

async fn run_one(app: &Arc<App>, mut job: Job) {
    // It has ended the process before, again and again.
    let ended = match job.crashes > MOST_CRASHES {
        true => Err(Panicked),
        false => attempt(app, &mut job).await,
    };
    let now = app.clock.now();
    let outcome = judge(&job, &ended, now);
    tell(&job, outcome);
    let released = async {
        let mut connection = app.db.connection().await?;
        jobs::release(&mut connection, &job, now, outcome).await
    };
    if let Err(error) = released.await {
        tracing::warn!(%error, "a job could not be given back; its lease will end");
    }
    app.job_due.notify_one();
    app.ingest_due.notify_one();
}

/// Does the work, and keeps the claim alive meanwhile.
async fn attempt(app: &Arc<App>, job: &mut Job) -> Result<Ended, Panicked> {
    let claimed = job.clone();
    let mut work = std::pin::pin!(caught(work(app, &claimed)));
    let beat = Duration::from(app.settings.job_lease) / 3;
    loop {
        match timeout(beat, &mut work).await {
            Ok(ended) => return ended,
            Err(_) => heartbeat(app, job).await,
        }
    }
}

/// What becomes of a job. One of the installation, which nobody would ask for anew, never dies.
fn judge<'a>(job: &Job, ended: &'a Result<Ended, Panicked>, now: DateTime<Utc>) -> Outcome<'a> {
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

fn tell(job: &Job, outcome: Outcome<'_>) {
    let Job {
        kind,
        attempts,
        crashes,
        ..
    } = job;
    let subject = job.subject_id;
    match outcome {
        Outcome::Failed(_, error) => {
            tracing::warn!(kind, %subject, attempts, error, "job failed");
        }
        Outcome::Crashed(_) => {
            tracing::error!(kind, %subject, attempts, crashes, "job crashed; it is tried again");
        }
        Outcome::Dead => {
            tracing::error!(kind, %subject, crashes, "job is dead; it has one more try when it is asked for, and every hour");
        }
        Outcome::Done | Outcome::Again(_) => {}
    }
}

/// 0.25 s, doubled with every attempt.
fn backoff(attempts: i32) -> TimeDelta {
    let doublings = u32::try_from(attempts.clamp(1, 10) - 1).unwrap_or_default();
    TimeDelta::milliseconds(250 * (1 << doublings)).min(MAX_BACKOFF)
}

async fn heartbeat(app: &App, job: &mut Job) {
    let beat = async {
        let mut connection = app.db.connection().await?;
        jobs::heartbeat(&mut connection, job, lease(app)).await
    };
    if let Err(error) = beat.await {
        tracing::warn!(%error, "a job's lease could not be extended");
    }
}

async fn work(app: &Arc<App>, job: &Job) -> Ended {
    match (&*job.kind, job.tenant_id) {
        (jobs::SESSION, Some(tenant)) => {
            let id = patchbay_domain::SessionId::new(job.subject_id);
            sync::sync(app, tenant, id).await.map_err(|e| e.to_string())
        }
        (jobs::ROOM_SWEEP, _) => {
            sync::sweep_rooms(app).await.map_err(|e| e.to_string())?;
            Ok(Some(app.clock.now() + app.timings.reconcile))
        }
        (jobs::SIP_OBJECT, Some(tenant)) => {
            let done = sip_sync::sync(app, tenant, job.subject_id).await;
            done.map_err(|e| e.to_string())?;
            Ok(None)
        }
        (jobs::SIP_SWEEP, _) => {
            sip_sync::sweep(app).await.map_err(|e| e.to_string())?;
            Ok(Some(app.clock.now() + app.timings.reconcile))
        }
        (jobs::INGEST, Some(tenant)) => {
            let id = patchbay_domain::FileId::new(job.subject_id);
            let done = ingest::run(app, tenant, id).await;
            done.map_err(|e| e.to_string())?;
            Ok(None)
        }
        (jobs::OBJECT, Some(tenant)) => {
            let id = patchbay_domain::ObjectId::new(job.subject_id);
            objects::settle(app, tenant, id)
                .await
                .map_err(|e| e.to_string())
        }
        (jobs::OBJECT_SWEEP, _) => {
            objects::sweep(app).await.map_err(|e| e.to_string())?;
            Ok(Some(app.clock.now() + app.settings.purge_interval.delta()))
        }
        (jobs::PURGE, _) => {
            purge::purge(app).await.map_err(|e| e.to_string())?;
            revive(app).await.map_err(|e| e.to_string())?;
            Ok(Some(app.clock.now() + app.settings.purge_interval.delta()))
        }
        (kind, _) => {
            Err(ApiError::internal(format!("no work for jobs of kind {kind}")).to_string())
        }
    }
}

/// Gives jobs that have been dead for a while one more try.
async fn revive(app: &App) -> patchbay_persistence::Result<()> {
    let now = app.clock.now();
    let mut connection = app.db.connection().await?;
    let count = jobs::revive(&mut connection, now, now - REST).await?;
    if count > 0 {
        tracing::warn!(count, "dead jobs are tried once more");
    }
    Ok(())
}

/// Hears of jobs that other processes have recorded.
pub async fn listen(app: Arc<App>, mut shutdown: Shutdown) {
    while !*shutdown.borrow() {
        let hear = async {
            match app.db.listen().await {
                Ok(mut listener) => {
                    while listener.next().await.is_some() {
                        app.job_due.notify_one();
                        app.ingest_due.notify_one();
                    }
                }
                Err(error) => tracing::debug!(%error, "not listening; jobs are polled for"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        tokio::select! {
            () = hear => {}
            _ = shutdown.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn job(crashes: i32, tenant: bool) -> Job {
        Job {
            kind: jobs::SESSION.to_owned(),
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
        let judged = |crashes, tenant| judge(&job(crashes, tenant), &Err(Panicked), now);
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
        let outcome = judge(&job(MOST_CRASHES, true), &failed, now);
        assert_eq!(outcome, Outcome::Failed(now + TimeDelta::seconds(1), "no"));
    }
}
