//! Setup of logs, traces and metrics.

use std::{io::IsTerminal as _, thread};

use opentelemetry::{KeyValue, global, trace::TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use prometheus::Registry;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    exporter::{ResilientExporter, ResilientMetrics},
    panics,
    settings::{LogFormat, Settings},
};

/// What collects traces and metrics.
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: SdkMeterProvider,
    /// The metrics, for Prometheus.
    pub registry: Registry,
}

impl Telemetry {
    /// Exports what has been collected; blocks. Call it before the process exits.
    pub fn shutdown(&self) {
        // At the same time, as a collector that hangs takes seconds of each.
        thread::scope(|scope| {
            if let Some(traces) = &self.traces {
                scope.spawn(|| traces.shutdown());
            }
            let _ = self.metrics.shutdown();
        });
    }
}

/// Initialises logs, traces and metrics, before anything is logged or counted.
pub fn init(settings: &Settings) -> anyhow::Result<Telemetry> {
    let traces = init_logs(settings)?;
    let registry = Registry::new();
    let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone());
    let mut metrics = SdkMeterProvider::builder()
        .with_resource(resource())
        .with_reader(exporter.build()?);
    if let Some(endpoint) = &settings.otlp_endpoint {
        let exporter = opentelemetry_otlp::MetricExporter::builder().with_http();
        let exporter = exporter.with_endpoint(at(endpoint, "metrics")).build()?;
        metrics = metrics.with_periodic_exporter(ResilientMetrics(exporter));
    }
    let metrics = metrics.build();
    global::set_meter_provider(metrics.clone());
    Ok(Telemetry {
        traces,
        metrics,
        registry,
    })
}

fn init_logs(settings: &Settings) -> anyhow::Result<Option<SdkTracerProvider>> {
    let filter = EnvFilter::try_new(&settings.log)?;
    let provider = settings
        .otlp_endpoint
        .as_deref()
        .map(trace_provider)
        .transpose()?;
    let traces = provider
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("patchbay")));
    let logs = match settings.log_format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Pretty => tracing_subscriber::fmt::layer()
            .compact()
            // Colour codes are for people, not for files.
            .with_ansi(std::io::stdout().is_terminal())
            .with_target(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(is_logged))
        .with(logs)
        .with(traces)
        .try_init()?;
    panics::log_panics();
    Ok(provider)
}

/// Whether this is logged and traced. Only our own, which contains no personal data, and that of libraries that process none;
/// others log whole statements, headers or messages. Exports are worth a line where they fail.
fn is_logged(metadata: &Metadata<'_>) -> bool {
    let is_of = |prefix: &str| metadata.target().starts_with(prefix);
    let is_export = is_of("opentelemetry") && *metadata.level() <= Level::WARN;
    is_of("patchbay") || is_of("actix_server") || is_export
}

fn trace_provider(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let endpoint = at(endpoint, "traces");
    let make = move || {
        let exporter = opentelemetry_otlp::SpanExporter::builder();
        Ok(exporter.with_http().with_endpoint(&*endpoint).build()?)
    };
    let exporter = ResilientExporter::new(make)?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource())
        .build())
}

/// Where a collector takes signals of this kind.
fn at(endpoint: &str, signal: &str) -> String {
    format!("{}/v1/{signal}", endpoint.trim_end_matches('/'))
}

/// What all traces and metrics say of the process.
fn resource() -> Resource {
    Resource::builder()
        .with_service_name("patchbay-api")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}
