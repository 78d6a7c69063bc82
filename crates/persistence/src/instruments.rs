//! Metrics of the connections to PostgreSQL, by the semantic conventions of OpenTelemetry.

use std::{sync::LazyLock, time::Duration};

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Histogram, Meter, UpDownCounter},
};

/// Bounds in seconds: a free connection takes microseconds, the longest wait some seconds.
const BOUNDS: [f64; 10] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0];

static METER: LazyLock<Meter> = LazyLock::new(|| global::meter("patchbay"));

static USED: LazyLock<UpDownCounter<i64>> = LazyLock::new(|| {
    let counter = METER.i64_up_down_counter("db.client.connection.count");
    let counter = counter.with_description("Connections to PostgreSQL that are in use.");
    counter.with_unit("{connection}").build()
});

static WAIT: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    let histogram = METER.f64_histogram("db.client.connection.wait_time");
    let histogram = histogram.with_description("How long work has waited for a connection.");
    histogram
        .with_unit("s")
        .with_boundaries(BOUNDS.to_vec())
        .build()
});

static TIMEOUTS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let counter = METER.u64_counter("db.client.connection.timeouts");
    let counter = counter
        .with_description("Work for which no connection was free in time, or could be opened.");
    counter.with_unit("{timeout}").build()
});

fn used() -> [KeyValue; 1] {
    [KeyValue::new("db.client.connection.state", "used")]
}

/// A connection that is counted as one in use until this is dropped.
pub struct InUse(());

impl InUse {
    /// Counts a connection after this wait.
    pub fn after(wait: Duration) -> Self {
        WAIT.record(wait.as_secs_f64(), &[]);
        USED.add(1, &used());
        Self(())
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        USED.add(-1, &used());
    }
}

/// Counts work that got no connection.
pub fn count_timeout() {
    TIMEOUTS.add(1, &[]);
}
