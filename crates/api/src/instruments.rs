//! Metrics of requests, and the listener where Prometheus reads all metrics of the process.

use std::{
    net::{SocketAddr, TcpListener},
    str::FromStr,
    sync::LazyLock,
    time::Duration,
};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::{Server, ServerHandle},
    http::{Method, StatusCode},
    web,
};
use anyhow::Context as _;
use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Histogram},
};
use prometheus::{Encoder as _, Registry, TEXT_FORMAT, TextEncoder};

/// Bounds in seconds, by the semantic conventions.
const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

static REQUESTS: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    let meter = global::meter("patchbay");
    let histogram = meter.f64_histogram("http.server.request.duration");
    let histogram = histogram.with_description("Requests by method, route and status.");
    histogram
        .with_unit("s")
        .with_boundaries(BOUNDS.to_vec())
        .build()
});

/// Counts a request. Those without a route are counted together, whatever their paths.
pub fn record_request(method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
    // Anybody can send any method.
    let method = match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    };
    let attributes = [
        KeyValue::new("http.request.method", method),
        KeyValue::new("http.route", route.unwrap_or_default().to_owned()),
        KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
    ];
    REQUESTS.record(took.as_secs_f64(), &attributes);
}

static REFUSALS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let meter = global::meter("patchbay");
    let counter = meter.u64_counter("patchbay.request.refusals");
    counter
        .with_description("Requests that were refused for now (429 and 503), by code.")
        .build()
});

/// Counts a request that was refused for now.
pub fn record_refusal(code: &'static str) {
    REFUSALS.add(1, &[KeyValue::new("patchbay.refusal.code", code)]);
}

/// Where metrics are served, if they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsListen(pub Option<SocketAddr>);

impl FromStr for MetricsListen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self(None));
        }
        let address = text.parse().map(|address| Self(Some(address)));
        address.map_err(|_| "it is an address with a port, or `off`")
    }
}

/// Serves `GET /metrics` at this address until the handle is stopped.
pub fn serve(address: SocketAddr, registry: Registry) -> anyhow::Result<ServerHandle> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("PATCHBAY_METRICS_LISTEN: cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    let server: Server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(registry.clone()))
            .route("/metrics", web::get().to(metrics))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    tracing::info!(%address, "serving metrics");
    Ok(handle)
}

async fn metrics(registry: web::Data<Registry>) -> HttpResponse {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut text) {
        Ok(()) => HttpResponse::Ok().content_type(TEXT_FORMAT).body(text),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}
