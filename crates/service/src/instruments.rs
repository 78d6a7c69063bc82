//! Metrics of what the service does. Their attributes are words of its own: none names a tenant or a person.

use std::{sync::LazyLock, time::Duration};

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Histogram},
};
use patchbay_domain::{
    knowledge::{SearchMode, Stage},
    states::JobKind,
};
use patchbay_persistence::jobs::Outcome;

/// Bounds of durations in seconds.
const BOUNDS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0,
];

static JOBS: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    duration(
        "patchbay.job.duration",
        "Attempts of jobs, by kind and outcome.",
    )
});
static EVENTS: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("patchbay.webhook.events", "Webhook events by outcome."));
static LAG: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    duration(
        "patchbay.webhook.lag",
        "Time from when a webhook event is received until it is applied.",
    )
});
static SESSIONS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "patchbay.session.ended",
        "Sessions that are over, by state and reason.",
    )
});
static CALLS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "patchbay.call.ended",
        "Phone calls that are over, by direction, state, reason and SIP status.",
    )
});
static DISPATCHES: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "patchbay.dispatches",
        "Dispatches of agents: made, repeated because no worker took one, and lost for good.",
    )
});
static JOINS: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    duration(
        "patchbay.agent.join.duration",
        "Time from the first dispatch of an agent until it has joined.",
    )
});
static SYNCS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "patchbay.sip.syncs",
        "Trunks and inbound mappings that were brought into LiveKit, by outcome.",
    )
});
static STAGES: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    duration(
        "patchbay.ingest.stage.duration",
        "Stages of ingests, by stage and outcome.",
    )
});
static SEARCHES: LazyLock<Histogram<f64>> =
    LazyLock::new(|| duration("patchbay.search.duration", "Searches of files, by mode."));
static TOOL_CALLS: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    duration(
        "patchbay.tool_call.duration",
        "Requests that tools make to other servers, by kind and outcome.",
    )
});
static REPLAYS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "patchbay.request.replays",
        "Requests that were answered as before, by their Idempotency-Key.",
    )
});

fn duration(name: &'static str, description: &'static str) -> Histogram<f64> {
    let meter = global::meter("patchbay");
    let histogram = meter.f64_histogram(name);
    let histogram = histogram.with_description(description).with_unit("s");
    histogram.with_boundaries(BOUNDS.to_vec()).build()
}

fn counter(name: &'static str, description: &'static str) -> Counter<u64> {
    let meter = global::meter("patchbay");
    let counter = meter.u64_counter(name);
    counter.with_description(description).build()
}

/// Counts an attempt of a job that took this long.
pub fn record_job(kind: JobKind, outcome: Outcome<'_>, took: Duration) {
    let outcome = match outcome {
        Outcome::Done => "done",
        Outcome::Again(_) => "again",
        Outcome::Failed(..) => "failed",
        Outcome::Crashed(_) => "crashed",
        Outcome::Dead(_) => "dead",
    };
    let attributes = [
        KeyValue::new("patchbay.job.kind", kind.as_str()),
        KeyValue::new("patchbay.job.outcome", outcome),
    ];
    JOBS.record(took.as_secs_f64(), &attributes);
}

/// Outcome of an attempt to apply a webhook event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// Applied, this long after it was received.
    Applied(Duration),
    /// Of a room of another installation on the same LiveKit.
    Foreign,
    /// It is retried.
    Failed,
    /// It is given up.
    Dropped,
}

/// Counts an attempt to apply a webhook event.
pub fn record_event(outcome: EventOutcome) {
    let word = match outcome {
        EventOutcome::Applied(lag) => {
            LAG.record(lag.as_secs_f64(), &[]);
            "applied"
        }
        EventOutcome::Foreign => "foreign",
        EventOutcome::Failed => "failed",
        EventOutcome::Dropped => "dropped",
    };
    EVENTS.add(1, &[KeyValue::new("patchbay.webhook.outcome", word)]);
}

/// Counts a session that is over. The reason is one of the service's own words.
pub fn record_session(state: &'static str, reason: &'static str) {
    let attributes = [
        KeyValue::new("patchbay.session.state", state),
        KeyValue::new("patchbay.session.end_reason", reason),
    ];
    SESSIONS.add(1, &attributes);
}

/// Counts a call that is over. The reason is one of the service's own words.
pub fn record_call(
    direction: &'static str,
    (state, reason): (&'static str, &'static str),
    sip_status: Option<i32>,
) {
    let attributes = [
        KeyValue::new("patchbay.call.direction", direction),
        KeyValue::new("patchbay.call.state", state),
        KeyValue::new("patchbay.call.reason", reason),
        KeyValue::new(
            "patchbay.sip.status",
            sip_status.map_or_else(String::new, |status| status.to_string()),
        ),
    ];
    CALLS.add(1, &attributes);
}

/// Counts a dispatch: `created`, `repeated` or `lost`.
pub fn record_dispatch(outcome: &'static str) {
    DISPATCHES.add(1, &[KeyValue::new("patchbay.dispatch.outcome", outcome)]);
}

/// Counts an agent of a worker with this name that has joined this long after its dispatch.
pub fn record_join(worker_name: &str, after: Duration) {
    let worker = KeyValue::new("patchbay.worker.name", worker_name.to_owned());
    JOINS.record(after.as_secs_f64(), &[worker]);
}

/// Counts a sync of a trunk or mapping.
pub fn record_sync(is_synced: bool) {
    let outcome = if is_synced { "synced" } else { "failed" };
    SYNCS.add(1, &[KeyValue::new("patchbay.sip.sync.outcome", outcome)]);
}

/// Counts a stage of an ingest.
pub fn record_stage(stage: Stage, is_done: bool, took: Duration) {
    let outcome = if is_done { "done" } else { "failed" };
    let attributes = [
        KeyValue::new("patchbay.ingest.stage", stage.as_str()),
        KeyValue::new("patchbay.ingest.outcome", outcome),
    ];
    STAGES.record(took.as_secs_f64(), &attributes);
}

/// Counts a search.
pub fn record_search(mode: SearchMode, took: Duration) {
    let mode = KeyValue::new("patchbay.search.mode", mode.as_str());
    SEARCHES.record(took.as_secs_f64(), &[mode]);
}

/// Counts a request of a tool: `succeeded`, or the code of its error.
pub fn record_tool_call(kind: &'static str, outcome: String, took: Duration) {
    let attributes = [
        KeyValue::new("patchbay.tool.kind", kind),
        KeyValue::new("patchbay.tool.outcome", outcome),
    ];
    TOOL_CALLS.record(took.as_secs_f64(), &attributes);
}

/// Counts a request that was answered as before.
pub fn record_replay() {
    REPLAYS.add(1, &[]);
}
