//! Metrics of the process itself, by the semantic conventions of OpenTelemetry.

use opentelemetry::{KeyValue, global};
use procfs::{
    Current as _, ProcResult, WithCurrentSystemInfo as _,
    process::{Process, Stat},
};

/// Has them read whenever metrics are exported. `schema` is the newest migration of this binary, and `connections` the most
/// that it opens to PostgreSQL.
pub fn observe(schema: String, connections: usize) {
    let meter = global::meter("patchbay");
    let build = [
        KeyValue::new("version", env!("CARGO_PKG_VERSION")),
        KeyValue::new(
            "commit",
            option_env!("PATCHBAY_COMMIT").unwrap_or("unknown"),
        ),
        KeyValue::new("schema", schema),
    ];
    let gauge = meter.u64_observable_gauge("patchbay.build.info");
    gauge
        .with_description("Version, commit and newest migration of the binary.")
        .with_callback(move |gauge| gauge.observe(1, &build))
        .build();
    let gauge = meter.u64_observable_gauge("db.client.connection.max");
    gauge
        .with_description("Most connections to PostgreSQL that the process opens.")
        .with_unit("{connection}")
        .with_callback(move |gauge| gauge.observe(connections as u64, &[]))
        .build();
    let counter = meter.f64_observable_counter("process.cpu.time");
    counter
        .with_description("Processor time that the process has used.")
        .with_unit("s")
        .with_callback(|counter| observe_stat(|stat| counter.observe(cpu_seconds(stat), &[])))
        .build();
    let gauge = meter.u64_observable_gauge("process.memory.usage");
    gauge
        .with_description("Resident memory of the process.")
        .with_unit("By")
        .with_callback(|gauge| observe_stat(|stat| gauge.observe(stat.rss_bytes().get(), &[])))
        .build();
    let gauge = meter.i64_observable_gauge("process.thread.count");
    gauge
        .with_description("Threads of the process.")
        .with_unit("{thread}")
        .with_callback(|gauge| observe_stat(|stat| gauge.observe(stat.num_threads, &[])))
        .build();
    let gauge = meter.u64_observable_gauge("process.open_file_descriptor.count");
    gauge
        .with_description("Open file descriptors of the process.")
        .with_unit("{file_descriptor}")
        .with_callback(|gauge| {
            if let Ok(count) = Process::myself().and_then(|process| process.fd_count()) {
                gauge.observe(count as u64, &[]);
            }
        })
        .build();
    let gauge = meter.f64_observable_gauge("process.uptime");
    gauge
        .with_description("Time since the start of the process.")
        .with_unit("s")
        .with_callback(|gauge| {
            observe_stat(|stat| gauge.observe(uptime(stat).unwrap_or_default(), &[]))
        })
        .build();
}

fn observe_stat(show: impl FnOnce(&Stat)) {
    if let Ok(stat) = Process::myself().and_then(|process| process.stat()) {
        show(&stat);
    }
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 ticks")]
fn cpu_seconds(stat: &Stat) -> f64 {
    (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 ticks")]
fn uptime(stat: &Stat) -> ProcResult<f64> {
    let started = stat.starttime as f64 / procfs::ticks_per_second() as f64;
    Ok(procfs::Uptime::current()?.uptime - started)
}
