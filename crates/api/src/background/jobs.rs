//! Claims jobs and runs them.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_persistence::jobs::{self, Job};
use tokio::{sync::Semaphore, time::timeout};

use super::Shutdown;
use crate::{
    app::App,
    error::ApiError,
    flows::{ingest, objects, purge, sip_sync, sync},
};

/// Jobs that run at a time.
const PARALLEL: usize = 32;
/// Longest pause between two tries.
const MAX_BACKOFF: TimeDelta = TimeDelta::seconds(15);

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
    let claimed = job.clone();
    let work = work(app, &claimed);
    let mut work = std::pin::pin!(work);
    let beat = Duration::from(app.settings.job_lease) / 3;
    let outcome = loop {
        match timeout(beat, &mut work).await {
            Ok(outcome) => break outcome,
            Err(_) => heartbeat(app, &mut job).await,
        }
    };
    let now = app.clock.now();
    let (again, error) = match outcome {
        Ok(again) => (again, None),
        Err(error) => {
            let pause = backoff(job.attempts);
            tracing::warn!(kind = job.kind, subject = %job.subject_id, attempts = job.attempts, %error, "job failed");
            (Some(now + pause), Some(error))
        }
    };
    let released = async {
        let mut connection = app.db.connection().await?;
        jobs::release(&mut connection, &job, now, again, error.as_deref()).await
    };
    if let Err(error) = released.await {
        tracing::warn!(%error, "a job could not be given back; its lease will end");
    }
    app.job_due.notify_one();
    app.ingest_due.notify_one();
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

async fn work(app: &Arc<App>, job: &Job) -> Result<Option<DateTime<Utc>>, String> {
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
            Ok(Some(app.clock.now() + app.settings.purge_interval.delta()))
        }
        (kind, _) => {
            Err(ApiError::internal(format!("no work for jobs of kind {kind}")).to_string())
        }
    }
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
