//! What Patchbay does, by subject: sessions, telephony, knowledge and tools. It knows neither HTTP nor the
//! OpenAPI document; whoever calls it (a request, a job, a webhook, a command) says who acts in an
//! [`Origin`] and changes things in a [`UnitOfWork`].

#[cfg(fuzz_planted)]
compile_error!("faults are planted for the fuzz targets to find: this must never serve");

mod actor;
pub mod api_keys;
pub mod audit;
pub mod bindings;
pub mod checks;
pub mod compute;
pub mod counters;
mod error;
pub mod faults;
pub mod idempotency;
pub mod jobs;
pub mod keyring;
pub mod knowledge;
pub mod named_secrets;
pub mod panics;
pub mod rates;
pub mod secrets;
mod service;
pub mod sessions;
pub mod settings;
pub mod stored;
pub mod telephony;
pub mod timeline;
pub mod tools;
mod unit_of_work;

pub use actor::{Actor, Origin};
pub use error::{Code, Error, Result};
pub use service::Service;
pub use settings::Settings;
pub use unit_of_work::UnitOfWork;
