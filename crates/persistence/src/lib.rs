//! PostgreSQL: the schema, the pool, tenant transactions, and one module of plain functions per aggregate. All
//! SQL of Patchbay is here.
//!
//! Invariants: every function on a tenant's table takes a [`TenantTx`] and filters by its tenant; row-level
//! security is the second line of defence. Rows have no serde implementations.

pub mod agents;
pub mod api_keys;
pub mod artifacts;
pub mod audit;
pub mod bindings;
pub mod calls;
pub mod chunks;
mod connector;
mod db;
pub mod distribute;
mod error;
pub mod files;
pub mod gauges;
pub mod hnsw;
pub mod idempotency;
pub mod inbound_mappings;
pub mod ingests;
mod instruments;
pub mod jobs;
pub mod knowledge_usage;
pub mod metrics;
pub mod migrations;
mod names;
pub mod numbers;
pub mod objects;
mod page;
pub mod participants;
mod pool;
mod prepared;
pub mod retention;
pub mod runs;
mod schema;
pub mod search;
pub mod secrets;
pub mod sessions;
pub mod sip_objects;
pub mod sip_trunks;
mod spans;
pub mod summaries;
pub mod tenants;
pub mod timeline;
mod tls;
pub mod transcripts;
pub mod usage;
pub mod users;
mod vector;
pub mod webhook_events;
pub mod workers;

pub use connector::{Connector, Route};
pub use db::{Db, Listener, TenantTx, VerifiedTenant};
pub use error::{Error, Result};
pub use page::{Rows, Total, Window};
pub use pool::{Connection, PoolSettings};
