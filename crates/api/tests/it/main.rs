//! Integration tests: HTTP against the real database and the real LiveKit, one file a resource.
//!
//! They need servers, which `cargo xtask test` starts. Every response of every test is validated against the
//! OpenAPI document.

mod agents;
mod artifacts;
mod attach;
mod audit;
mod bindings;
mod busy;
mod calls;
mod claims;
mod client_tokens;
mod confinement;
mod contract;
mod controls;
mod coverage;
mod crashes;
mod dialling;
mod dispatch;
mod document;
mod e2e;
mod embeddings;
mod erasure;
mod faults;
mod files;
mod health;
mod hostile_reader;
mod idempotency;
mod inbound;
mod jobs;
mod keys;
mod knowledge;
mod limits;
mod lists;
mod mcp;
mod messages;
mod metrics;
mod numbers;
mod panics;
mod rates;
mod rls;
mod search;
mod secrets;
mod sessions;
mod settings;
mod support;
mod tenants;
mod tokens;
mod tools;
mod transcript;
mod trunks;
mod unstorable;
mod users;
mod webhook_rooms;
mod webhooks;
mod workers;
