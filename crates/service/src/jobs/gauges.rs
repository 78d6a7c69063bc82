//! Numbers of the whole installation for metrics, read from the database at an interval: every process tells the same ones.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::{KeyValue, global};
use patchbay_domain::{
    call::{CallState, Direction},
    session::SessionState,
    states::JobKind,
};
use patchbay_persistence::gauges::{self, Events, Jobs, Live, Workers};

use super::Shutdown;
use crate::{Result, Service};

/// Interval in which they are read.
const INTERVAL: Duration = Duration::from_secs(15);

const DUE: &str = "patchbay.job.due";
const DEAD: &str = "patchbay.job.dead";
const OLDEST_DUE: &str = "patchbay.job.oldest_due_age";
const INGESTS: &str = "patchbay.ingest.queue";
const PENDING: &str = "patchbay.webhook.pending";
const OLDEST_PENDING: &str = "patchbay.webhook.oldest_pending_age";
const WORKERS: &str = "patchbay.worker.count";
const CAPACITY: &str = "patchbay.worker.capacity";
const RUNNING: &str = "patchbay.worker.running";
const SESSIONS: &str = "patchbay.session.live";
const CALLS: &str = "patchbay.call.live";

/// Name, unit and description of each.
const GAUGES: [(&str, &str, &str); 11] = [
    (DUE, "{job}", "Jobs that are due and that nothing works on."),
    (
        DEAD,
        "{job}",
        "Jobs that have failed too often and are not soon tried again.",
    ),
    (
        OLDEST_DUE,
        "s",
        "How long the oldest job that nothing works on has been due.",
    ),
    (INGESTS, "{ingest}", "Ingests that wait or run."),
    (
        PENDING,
        "{event}",
        "Webhook events that are not applied yet.",
    ),
    (
        OLDEST_PENDING,
        "s",
        "Age of the oldest webhook event that is not applied yet.",
    ),
    (WORKERS, "{worker}", "Live workers by name."),
    (
        CAPACITY,
        "{job}",
        "Agents that the live workers can run, by name.",
    ),
    (
        RUNNING,
        "{job}",
        "Agents that the live workers run, by name.",
    ),
    (SESSIONS, "{session}", "Live sessions by state."),
    (CALLS, "{call}", "Live phone calls by direction and state."),
];

/// One number.
struct Sample(&'static str, Vec<KeyValue>, f64);

type Latest = Arc<Mutex<Vec<Sample>>>;

/// Reads the numbers until shutdown. `worker_names` are told also while no worker has them.
pub async fn run(service: Arc<Service>, worker_names: Vec<String>, mut shutdown: Shutdown) {
    let latest = Latest::default();
    observe(&latest);
    while !*shutdown.borrow() {
        let read = read(&service, &worker_names).await;
        if let Err(error) = &read {
            tracing::warn!(%error, "the numbers of jobs, events and sessions could not be read");
        }
        // None rather than old ones, which would look as if all were well.
        *latest.lock().unwrap_or_else(PoisonError::into_inner) = read.unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            _ = shutdown.changed() => {}
        }
    }
}

/// Has the latest numbers taken whenever metrics are exported.
fn observe(latest: &Latest) {
    let meter = global::meter("patchbay");
    for (name, unit, description) in GAUGES {
        let latest = Arc::clone(latest);
        let gauge = meter.f64_observable_gauge(name).with_unit(unit);
        let gauge = gauge.with_description(description);
        gauge
            .with_callback(move |gauge| {
                let latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
                for Sample(_, attributes, value) in latest.iter().filter(|sample| sample.0 == name)
                {
                    gauge.observe(*value, attributes);
                }
            })
            .build();
    }
}

async fn read(service: &Service, worker_names: &[String]) -> Result<Vec<Sample>> {
    let now = service.clock.now();
    let alive_after = now - service.settings.worker_timeout;
    let mut connection = service.db.connection().await?;
    let jobs = gauges::jobs(&mut connection, now).await?;
    let events = gauges::events(&mut connection, now).await?;
    let workers = gauges::workers(&mut connection, alive_after).await?;
    drop(connection);
    let mut samples = of_jobs(&jobs);
    samples.extend(of_events(&events));
    samples.extend(of_workers(&workers, worker_names));
    // It takes longer the more tenants have live sessions; without it, the others are still worth having.
    match gauges::live(&service.db).await {
        Ok(live) => samples.extend(of_live(&live)),
        Err(error) => tracing::warn!(%error, "live sessions and calls could not be counted"),
    }
    Ok(samples)
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
const fn number(count: i64) -> f64 {
    count as f64
}

/// Those of every kind, also where there is none: an alert needs the zero.
fn of_jobs(jobs: &[Jobs]) -> Vec<Sample> {
    let mut samples = Vec::new();
    for kind in JobKind::ALL.map(JobKind::as_str) {
        let found = jobs.iter().find(|jobs| jobs.kind == kind);
        let count = |count: fn(&Jobs) -> i64| found.map_or(0.0, |jobs| number(count(jobs)));
        let of_kind = || vec![KeyValue::new("patchbay.job.kind", kind)];
        let oldest = found.and_then(|jobs| jobs.oldest_due).unwrap_or_default();
        samples.push(Sample(DUE, of_kind(), count(|jobs| jobs.due)));
        samples.push(Sample(DEAD, of_kind(), count(|jobs| jobs.dead)));
        samples.push(Sample(OLDEST_DUE, of_kind(), oldest.max(0.0)));
        if kind == JobKind::Ingest.as_str() {
            let state = |state| vec![KeyValue::new("patchbay.ingest.state", state)];
            samples.push(Sample(INGESTS, state("waiting"), count(|jobs| jobs.due)));
            samples.push(Sample(
                INGESTS,
                state("running"),
                count(|jobs| jobs.running),
            ));
        }
    }
    samples
}

fn of_events(events: &Events) -> [Sample; 2] {
    [
        Sample(PENDING, Vec::new(), number(events.pending)),
        Sample(
            OLDEST_PENDING,
            Vec::new(),
            events.oldest.unwrap_or_default().max(0.0),
        ),
    ]
}

fn of_workers(workers: &[Workers], names: &[String]) -> Vec<Sample> {
    let gone = names
        .iter()
        .filter(|name| !workers.iter().any(|workers| workers.name == **name));
    let gone = gone.map(|name| Workers {
        name: name.clone(),
        workers: 0,
        capacity: 0,
        running: 0,
    });
    let all = workers.iter().cloned().chain(gone);
    all.flat_map(|workers| {
        let name = KeyValue::new("patchbay.worker.name", workers.name);
        [
            Sample(WORKERS, vec![name.clone()], number(workers.workers)),
            Sample(CAPACITY, vec![name.clone()], number(workers.capacity)),
            Sample(RUNNING, vec![name], number(workers.running)),
        ]
    })
    .collect()
}

fn of_live(live: &[Live]) -> Vec<Sample> {
    let count = |subject: &str, state: &str, direction: &str| {
        let found = live.iter().find(|live| {
            live.subject == subject && live.state == state && live.direction == direction
        });
        found.map_or(0.0, |live| number(live.number))
    };
    let mut samples = Vec::new();
    for state in SessionState::ALL
        .into_iter()
        .filter(|state| state.is_live())
    {
        let attributes = vec![KeyValue::new("patchbay.session.state", state.as_str())];
        samples.push(Sample(
            SESSIONS,
            attributes,
            count("session", state.as_str(), ""),
        ));
    }
    for direction in Direction::ALL {
        for state in CallState::ALL.into_iter().filter(|state| state.is_live()) {
            let (direction, state) = (direction.as_str(), state.as_str());
            let attributes = vec![
                KeyValue::new("patchbay.call.direction", direction),
                KeyValue::new("patchbay.call.state", state),
            ];
            samples.push(Sample(CALLS, attributes, count("call", state, direction)));
        }
    }
    samples
}
