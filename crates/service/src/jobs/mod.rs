//! Background work: jobs, webhook events, and the storing of counters.

pub mod background;
mod dead;
pub mod error;
mod gauges;
mod kinds;
mod purge;
pub mod queue;
mod retention;
mod retry;
mod runner;
mod schedule;
mod usage;
mod webhooks;

/// Becomes true when the process is to shut down.
pub type Shutdown = tokio::sync::watch::Receiver<bool>;
