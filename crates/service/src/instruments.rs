//! Metrics of the work in the background.

use std::{sync::LazyLock, time::Duration};

use opentelemetry::{KeyValue, global, metrics::Histogram};
use patchbay_domain::states::JobKind;
use patchbay_persistence::jobs::Outcome;

/// Bounds in seconds.
const BOUNDS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0];

static JOBS: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    let meter = global::meter("patchbay");
    let histogram = meter.f64_histogram("patchbay.job.duration");
    let histogram = histogram.with_description("Attempts of jobs, by kind and outcome.");
    histogram
        .with_unit("s")
        .with_boundaries(BOUNDS.to_vec())
        .build()
});

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
