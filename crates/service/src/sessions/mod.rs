//! Sessions: LiveKit rooms with an agent dispatched into them.
//!
//! Three parts manage a session's lifecycle: requests record the desired state (`start`, `stop`, `attach`),
//! webhooks record the observed state (`room_events`), and one job per session (`reconcile`) compares the two and
//! executes the next step (`steps`). No request to another system is made within a transaction.

pub mod aggregate;
pub mod attach;
mod calls;
pub mod configuration;
pub mod create;
mod dispatch;
pub mod erase;
mod no_show;
mod observation;
mod observed;
pub mod reconcile;
pub mod room_events;
pub mod room_sweep;
pub mod run_configuration;
pub mod runs;
mod snapshot;
pub mod start;
mod steps;
pub mod stop;
pub mod tokens;
pub mod transcript;
pub mod update;
pub mod wait;
