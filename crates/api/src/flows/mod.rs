//! Work that crosses systems.
//!
//! A session's life is split in three: requests record what is wanted (`sessions`), webhooks
//! record what was seen (`room_events`), and one job per session (`sync`) compares the two and
//! takes the next step. Nothing external ever happens inside a transaction.

pub mod calls;
mod decoding;
pub mod extraction;
pub mod files;
pub mod inbound;
pub mod ingest;
pub mod masking;
pub mod objects;
pub mod purge;
pub mod recipe;
pub mod record;
pub mod room_events;
pub mod search;
pub mod secrets;
pub mod sessions;
pub mod sip_sync;
pub mod sync;
mod telephones;
pub mod tools;
