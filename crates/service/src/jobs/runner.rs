//! Claims jobs and runs them.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use patchbay_persistence::jobs::{self, Job, MOST_CRASHES};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    Shutdown,
    error::JobResult,
    kinds,
    retry::{log_outcome, outcome_of},
    schedule,
};
use crate::{
    Service,
    panics::{Panicked, catch_panic},
};

/// Most jobs other than ingests that one process runs at a time.
const MAX_CONCURRENT_JOBS: usize = 32;

/// The jobs that one loop runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// Ingests, which take long and must not delay other jobs.
    Ingests,
    /// All other kinds.
    Others,
}

/// Runs jobs of all kinds except ingests until shutdown.
pub async fn run(service: Arc<Service>, shutdown: Shutdown) {
    run_lane(service, shutdown, Lane::Others, MAX_CONCURRENT_JOBS).await;
}

/// Runs ingests until shutdown.
pub async fn run_ingests(service: Arc<Service>, shutdown: Shutdown) {
    let concurrency = service.settings.knowledge.ingest_parallel.max(1);
    run_lane(service, shutdown, Lane::Ingests, concurrency).await;
}

/// Claims and runs due jobs, then waits for a notification or the poll interval, until shutdown.
async fn run_lane(service: Arc<Service>, mut shutdown: Shutdown, lane: Lane, concurrency: usize) {
    let slots = Arc::new(Semaphore::new(concurrency));
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
            Err(error) => tracing::warn!(%error, "jobs could not be claimed"),
        }
        // While every slot is in use, no job can be claimed, so the next due time does not matter.
        let pause = match slots.available_permits() {
            0 => service.settings.jobs.poll,
            _ => time_until_due(&service, lane).await,
        };
        tokio::select! {
            () = due.notified() => {}
            () = tokio::time::sleep(pause) => {}
            _ = shutdown.changed() => {}
        }
    }
    // Running jobs get ten seconds to finish; the others are claimed again when their leases expire.
    let _ = timeout(
        Duration::from_secs(10),
        slots.acquire_many(u32::try_from(concurrency).unwrap_or(1)),
    )
    .await;
}

/// Time until the next job is due, at most the poll interval.
async fn time_until_due(service: &Service, lane: Lane) -> Duration {
    let poll = service.settings.jobs.poll;
    let due = async {
        let mut connection = service.db.connection().await?;
        jobs::next_due(&mut connection, service.clock.now(), lane == Lane::Ingests).await
    };
    match due.await {
        Ok(Some(due)) => {
            let wait = (due - service.clock.now()).to_std().unwrap_or_default();
            // A job that is already due was not claimed because no slot was free, or because another process
            // has just claimed it.
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
    let times = (service.clock.now(), lease_expiry(service));
    let mut connection = service.db.connection().await?;
    match lane {
        Lane::Ingests => jobs::claim_ingests(&mut connection, times, limit).await,
        Lane::Others => jobs::claim(&mut connection, times, limit).await,
    }
}

async fn run_one(service: &Arc<Service>, mut job: Job) {
    // The job has ended the process too many times already, so it is not run again.
    let result = match job.crashes > MOST_CRASHES {
        true => Err(Panicked),
        false => run_with_heartbeat(service, &mut job).await,
    };
    let now = service.clock.now();
    let outcome = outcome_of(&job, &result, now);
    log_outcome(&job, outcome);
    let released = async {
        let mut connection = service.db.connection().await?;
        jobs::release(&mut connection, &job, now, outcome).await
    };
    if let Err(error) = released.await {
        tracing::warn!(%error, "a job could not be released; it is claimed again when its lease expires");
    }
    service.job_due.notify_one();
    service.ingest_due.notify_one();
}

/// Runs a job and extends its lease meanwhile.
async fn run_with_heartbeat(service: &Arc<Service>, job: &mut Job) -> Result<JobResult, Panicked> {
    let claimed = job.clone();
    let mut work = std::pin::pin!(catch_panic(kinds::run(service, &claimed)));
    let interval = service.settings.jobs.lease / 3;
    loop {
        match timeout(interval, &mut work).await {
            Ok(result) => return result,
            Err(_) => extend_lease(service, job).await,
        }
    }
}

async fn extend_lease(service: &Service, job: &mut Job) {
    let extended = async {
        let mut connection = service.db.connection().await?;
        jobs::heartbeat(&mut connection, job, lease_expiry(service)).await
    };
    if let Err(error) = extended.await {
        tracing::warn!(%error, "a job's lease could not be extended");
    }
}

/// The end of a lease that starts now.
fn lease_expiry(service: &Service) -> DateTime<Utc> {
    service.clock.now() + service.settings.jobs.lease
}
