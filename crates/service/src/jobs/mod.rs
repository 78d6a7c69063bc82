//! Work beside the requests: jobs, webhook events, and what is counted.

pub mod background;
pub mod error;
mod kinds;
mod purge;
pub mod queue;
mod retry;
mod runner;
mod schedule;
mod usage;
mod webhooks;

/// Becomes true when the process is to end.
pub type Shutdown = tokio::sync::watch::Receiver<bool>;
