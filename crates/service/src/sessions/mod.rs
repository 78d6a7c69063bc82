//! Sessions: LiveKit rooms with an agent dispatched into them.
//!
//! A session's life is split in three: requests record what is wanted (`start`, `stop`, `attach`), webhooks
//! record what was seen (`room_events`), and one job per session (`reconcile`) compares the two and takes the
//! next step (`steps`). Nothing external ever happens inside a transaction.

pub mod aggregate;
pub mod attach;
mod calls;
pub mod configuration;
pub mod create;
pub mod erase;
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
