//! The tables, as diesel sees them. The migrations are the truth.

mod accounts;
mod background;
mod definitions;
mod knowledge;
mod records;
mod telephony;

pub use accounts::{
    __diesel_schema_migrations, api_keys, audit_events, idempotency_keys, secrets, tenants, users,
};
pub use background::{jobs, rooms, webhook_events, workers};
pub use definitions::{activations, agents, artifact_versions, artifacts, binding_tools, bindings};
pub use knowledge::{agent_files, chunks, files, ingests, knowledge_usage, objects};
pub use records::{
    agent_runs, calls, configurations, participants, session_events, sessions, transcript_turns,
    usage_records,
};
pub use telephony::{inbound_mappings, phone_numbers, sip_objects, sip_trunks};

diesel::allow_tables_to_appear_in_same_query!(agent_files, agents);
diesel::allow_tables_to_appear_in_same_query!(agents, calls);
diesel::allow_tables_to_appear_in_same_query!(sessions, bindings, agent_files);
