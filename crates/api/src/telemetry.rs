//! Setup of logs and traces.

use std::io::IsTerminal as _;

use actix_web::http::header::HeaderMap;
use opentelemetry::{
    propagation::{Extractor, TextMapPropagator as _},
    trace::TracerProvider as _,
};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    exporter::ResilientExporter,
    panics,
    settings::{LogFormat, Settings},
};

/// Initialises logs and traces. Shut the returned provider down before the process exits.
pub fn init(settings: &Settings) -> anyhow::Result<Option<SdkTracerProvider>> {
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
        .with(filter_fn(|metadata| is_logged(metadata.target())))
        .with(logs)
        .with(traces)
        .try_init()?;
    panics::log_panics();
    Ok(provider)
}

/// Whether messages of a target are logged and traced. Only our own, which contain no personal data, and those of
/// libraries that process none; others log whole statements, headers or messages.
fn is_logged(target: &str) -> bool {
    ["patchbay", "actix_server", "opentelemetry"]
        .iter()
        .any(|prefix| target.starts_with(prefix))
}

fn trace_provider(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let make = move || {
        let exporter = opentelemetry_otlp::SpanExporter::builder();
        Ok(exporter.with_http().with_endpoint(&*endpoint).build()?)
    };
    let exporter = ResilientExporter::new(make)?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(
            Resource::builder()
                .with_service_name("patchbay-api")
                .build(),
        )
        .build())
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }
    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

/// Makes the span a child of the caller's span if the request has a W3C trace context.
pub fn continue_trace(span: &Span, headers: &HeaderMap) {
    if headers.contains_key("traceparent") {
        let context = TraceContextPropagator::new().extract(&Headers(headers));
        let _ = span.set_parent(context);
    }
}
