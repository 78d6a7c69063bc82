//! The domain without any I/O: ids, validated field types, specs and their validation, configurations with their
//! digest, and the state machines of sessions and calls.
//!
//! This crate depends on no framework and no runtime. Two features add implementations that the orphan rule
//! requires beside the types: `diesel` the column mappings, `openapi` the schemas.

pub mod api_key;
pub mod artifact;
pub mod audit;
pub mod buckets;
pub mod byte_range;
pub mod call;
pub mod clock;
pub mod configuration;
pub mod cursor;
pub mod email;
pub mod end_reason;
pub mod forwarded;
pub mod hours;
pub mod id;
pub mod invalid;
pub mod json_schema;
pub mod knowledge;
pub mod limits;
pub mod metadata;
pub mod phone;
pub mod prompt;
pub mod raw_json;
pub mod retention;
pub mod runtime;
#[cfg(feature = "openapi")]
pub mod schema;
pub mod scope;
pub mod session;
pub mod sip;
pub mod states;
pub mod template;
pub mod text;
pub mod timeline;
pub mod tool;
pub mod transcript;
mod words;
pub mod worker;

pub use clock::Clock;
pub use cursor::Cursor;
pub use id::{
    ActivationId, AgentId, AgentRunId, ApiKeyId, ArtifactId, AuditEventId, BindingId, CallId,
    FileId, Id, JobId, MappingId, NumberId, ObjectId, ParticipantId, PromptVersionId,
    RuntimeConfigVersionId, SecretId, SessionEventId, SessionId, TenantId, ToolCallId,
    ToolVersionId, TrunkId, TurnId, UsageId, UserId, VersionId,
};
pub use invalid::{Invalid, Violation};
pub use metadata::Metadata;
pub use phone::{Dialled, PhoneNumber, TransferTarget};
pub use raw_json::RawJson;
pub use scope::Scope;
