//! Patchbay's business logic by area: sessions, telephony, knowledge and tools. It is independent of HTTP and the
//! OpenAPI document. Its callers (requests, jobs, webhooks and commands) give the actor in an [`Origin`] and make
//! changes in a [`UnitOfWork`].

#[cfg(fuzz_planted)]
compile_error!("a build with faults injected for the fuzz targets must never serve requests");

mod actor;
pub mod agents;
pub mod api_keys;
pub mod audit;
pub mod bindings;
pub mod checks;
pub mod client_tokens;
pub mod compute;
pub mod counters;
pub mod database_role;
pub mod database_route;
mod error;
pub mod faults;
pub mod idempotency;
pub mod instruments;
pub mod jobs;
pub mod keyring;
pub mod knowledge;
mod measurement;
pub mod metrics;
pub mod named_secrets;
pub mod panics;
pub mod rates;
pub mod secrets;
mod service;
pub mod sessions;
pub mod settings;
pub mod stored;
pub mod telephony;
pub mod tenants;
pub mod timeline;
pub mod tools;
pub mod trace;
mod unit_of_work;
pub mod workers;

pub use actor::{Actor, Origin};
pub use error::{Blocker, Code, Error, Result};
pub use service::{Process, Service};
pub use settings::Settings;
pub use unit_of_work::UnitOfWork;
