//! Claims jobs and runs them.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use patchbay_persistence::jobs::{self, Job, MOST_CRASHES};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    Shutdown,
    error::Ended,
    kinds,
    retry::{log_outcome, outcome_of},
    schedule,
};
use crate::{
    Service,
    panics::{Panicked, caught},
};

/// Jobs that run at a time.
const PARALLEL: usize = 32;

/// Which jobs a loop runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// Ingests, which take long and must not keep others waiting.
    Ingests,
    /// All others.
    Others,
}

/// The loop of all jobs but ingests.
pub async fn run(service: Arc<Service>, shutdown: Shutdown) {
    run_lane(service, shutdown, Lane::Others, PARALLEL).await;
}

/// The loop of ingests.
pub async fn run_ingests(service: Arc<Service>, shutdown: Shutdown) {
    let parallel = service.settings.knowledge.ingest_parallel.max(1);
    run_lane(service, shutdown, Lane::Ingests, parallel).await;
}

/// Claims what is due, runs it, waits for a notification or the poll.
async fn run_lane(service: Arc<Service>, mut shutdown: Shutdown, lane: Lane, parallel: usize) {
    let slots = Arc::new(Semaphore::new(parallel));
    let notified = Arc::clone(&service);
    let due = match lane {
        Lane::Ingests => &notified.ingest_due,
        Lane::Others => &notified.job_due,
    };
    let mut seeded = lane == Lane::Ingests;
    while !*shutdown.borrow() {
        seeded = seeded || schedule::seed(&service).await;
        match claim(&service, lane, slots.available_permits()).await {
            Ok(claimed) if !claimed.is_empty() => {
                for job in claimed {
                    let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                        return;
                    };
                    let service = Arc::clone(&service);
                    tokio::spawn(async move {
                        run_one(&service, job).await;
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
            0 => service.settings.jobs.poll,
            _ => pause(&service, lane).await,
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

/// Until the next job is due, but never longer than the poll.
async fn pause(service: &Service, lane: Lane) -> Duration {
    let poll = service.settings.jobs.poll;
    let due = async {
        let mut connection = service.db.connection().await?;
        jobs::next_due(&mut connection, service.clock.now(), lane == Lane::Ingests).await
    };
    match due.await {
        Ok(Some(due)) => {
            let wait = (due - service.clock.now()).to_std().unwrap_or_default();
            // What is due already was not claimed for want of a slot, or by another just now.
            wait.min(poll).max(Duration::from_millis(20))
        }
        _ => poll,
    }
}

async fn claim(
    service: &Service,
    lane: Lane,
    free: usize,
) -> patchbay_persistence::Result<Vec<Job>> {
    let limit = i64::try_from(free.min(16)).unwrap_or_default();
    let times = (service.clock.now(), lease(service));
    let mut connection = service.db.connection().await?;
    match lane {
        Lane::Ingests => jobs::claim_ingests(&mut connection, times, limit).await,
        Lane::Others => jobs::claim(&mut connection, times, limit).await,
    }
}

async fn run_one(service: &Arc<Service>, mut job: Job) {
    // It has ended the process before, again and again.
    let ended = match job.crashes > MOST_CRASHES {
        true => Err(Panicked),
        false => attempt(service, &mut job).await,
    };
    let now = service.clock.now();
    let outcome = outcome_of(&job, &ended, now);
    log_outcome(&job, outcome);
    let released = async {
        let mut connection = service.db.connection().await?;
        jobs::release(&mut connection, &job, now, outcome).await
    };
    if let Err(error) = released.await {
        tracing::warn!(%error, "a job could not be given back; its lease will end");
    }
    service.job_due.notify_one();
    service.ingest_due.notify_one();
}

/// Does the work, and keeps the claim alive meanwhile.
async fn attempt(service: &Arc<Service>, job: &mut Job) -> Result<Ended, Panicked> {
    let claimed = job.clone();
    let mut work = std::pin::pin!(caught(kinds::work(service, &claimed)));
    let beat = service.settings.jobs.lease / 3;
    loop {
        match timeout(beat, &mut work).await {
            Ok(ended) => return ended,
            Err(_) => heartbeat(service, job).await,
        }
    }
}

async fn heartbeat(service: &Service, job: &mut Job) {
    let beat = async {
        let mut connection = service.db.connection().await?;
        jobs::heartbeat(&mut connection, job, lease(service)).await
    };
    if let Err(error) = beat.await {
        tracing::warn!(%error, "a job's lease could not be extended");
    }
}

fn lease(service: &Service) -> DateTime<Utc> {
    service.clock.now() + service.settings.jobs.lease
}
