//! The HTTP API of Patchbay. The binary `patchbay-api` is a thin shell around it.

#[cfg(fuzz_planted)]
compile_error!(
    "this build contains deliberate faults for the fuzz targets and must not serve requests"
);

pub mod address;
pub mod app;
pub mod code;
pub mod cors;
pub mod docs;
pub mod envelope;
pub mod error;
pub mod etag;
pub mod exporter;
pub mod extract;
pub mod failure;
pub mod instruments;
pub mod openapi;
pub mod panics;
pub mod probe;
pub mod process_metrics;
pub mod rates;
pub mod response;
pub mod router;
pub mod routes;
pub mod routing;
pub mod server;
pub mod settings;
pub mod telemetry;
pub mod timestamp;
