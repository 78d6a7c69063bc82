//! Claims jobs and runs them.

use std::{sync::Arc, time::Duration};

use patchbay_persistence::jobs::{self, Job, MAX_CRASHES};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use tracing::Instrument as _;

use super::{
    Shutdown,
    error::JobResult,
    kinds,
    retry::{log_outcome, outcome_of},
    schedule,
};
use crate::{
    Service, instruments,
    panics::{Panicked, catch_panic},
    trace,
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
        jobs::next_due(&mut connection, lane == Lane::Ingests).await
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
    let (now, lease) = (service.clock.now(), service.settings.jobs.lease);
    let mut connection = service.db.connection().await?;
    match lane {
        Lane::Ingests => jobs::claim_ingests(&mut connection, now, lease, limit).await,
        Lane::Others => jobs::claim(&mut connection, now, lease, limit).await,
    }
}

async fn run_one(service: &Service, job: Job) {
    let started = Instant::now();
    // The job has ended the process too many times already, so it is not run again.
    let result = match job.crashes > MAX_CRASHES {
        true => Err(Panicked),
        false => {
            let Some(result) = run_while_claimed(service, &job).await else {
                let (kind, subject) = (job.kind, job.subject_id);
                tracing::warn!(%kind, %subject, "a job's claim was lost; its work has been stopped");
                return;
            };
            result
        }
    };
    let now = service.clock.now();
    let outcome = outcome_of(&job, &result, now);
    log_outcome(&job, outcome);
    instruments::record_job(job.kind, outcome, started.elapsed());
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

/// Runs a job and extends its lease meanwhile. `None` if the claim was lost: then the work is dropped where it stands,
/// and what it would have written is refused ([`Service::under_claim`]).
async fn run_while_claimed(service: &Service, job: &Job) -> Option<Result<JobResult, Panicked>> {
    let lease = service.settings.jobs.lease;
    let claimed = service.under_claim(Some(job.claim()));
    let received = job.traceparent.clone();
    let trace_id = received.as_deref().and_then(trace::trace_id);
    let (kind, subject) = (job.kind, job.subject_id);
    let span = tracing::info_span!("job", %kind, %subject, trace_id);
    if trace_id.is_none() {
        trace::record_id(&span);
    }
    let work = kinds::run(&claimed, job).instrument(span.clone());
    let mut work = std::pin::pin!(catch_panic(trace::within(received, &span, work)));
    let mut held_until = Instant::now() + lease;
    loop {
        if let Ok(result) = timeout(lease / 3, &mut work).await {
            return Some(result);
        }
        let asked_at = Instant::now();
        match extend_lease(service, job).await {
            Ok(true) => held_until = asked_at + lease,
            Ok(false) => return None,
            Err(error) => {
                tracing::warn!(%error, "a job's lease could not be extended");
                if Instant::now() > held_until {
                    return None;
                }
            }
        }
    }
}

async fn extend_lease(service: &Service, job: &Job) -> patchbay_persistence::Result<bool> {
    let mut connection = service.db.connection().await?;
    jobs::heartbeat(&mut connection, &job.claim(), service.settings.jobs.lease).await
}
