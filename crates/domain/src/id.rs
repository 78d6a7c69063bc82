//! Typed UUIDv7 ids: an agent's id cannot be passed where a session's is expected.

use std::{fmt, hash::Hash, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// The id of an entity of kind `K`; the kind exists for the type checker only.
#[cfg_attr(
    feature = "diesel",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)
)]
#[cfg_attr(feature = "diesel", diesel(sql_type = diesel::sql_types::Uuid))]
pub struct Id<K: 'static>(Uuid, PhantomData<fn() -> K>);

/// The kinds of ids.
pub mod kind {
    #![expect(missing_docs, reason = "the names say it all")]
    #[derive(Debug)]
    pub enum Activation {}
    #[derive(Debug)]
    pub enum Agent {}
    #[derive(Debug)]
    pub enum AgentRun {}
    #[derive(Debug)]
    pub enum ApiKey {}
    #[derive(Debug)]
    pub enum Artifact {}
    #[derive(Debug)]
    pub enum AuditEvent {}
    #[derive(Debug)]
    pub enum Binding {}
    #[derive(Debug)]
    pub enum Call {}
    #[derive(Debug)]
    pub enum File {}
    #[derive(Debug)]
    pub enum Job {}
    #[derive(Debug)]
    pub enum Mapping {}
    #[derive(Debug)]
    pub enum Number {}
    #[derive(Debug)]
    pub enum Object {}
    #[derive(Debug)]
    pub enum Participant {}
    #[derive(Debug)]
    pub enum Secret {}
    #[derive(Debug)]
    pub enum Session {}
    #[derive(Debug)]
    pub enum SessionEvent {}
    #[derive(Debug)]
    pub enum Tenant {}
    #[derive(Debug)]
    pub enum ToolCall {}
    #[derive(Debug)]
    pub enum Trunk {}
    #[derive(Debug)]
    pub enum Turn {}
    #[derive(Debug)]
    pub enum Usage {}
    #[derive(Debug)]
    pub enum User {}
    #[derive(Debug)]
    pub enum Version {}
    #[derive(Debug)]
    pub enum PromptVersion {}
    #[derive(Debug)]
    pub enum RuntimeConfigVersion {}
    #[derive(Debug)]
    pub enum ToolVersion {}
}

/// One activation of a binding.
pub type ActivationId = Id<kind::Activation>;
/// An agent (the definition).
pub type AgentId = Id<kind::Agent>;
/// One attempt to have an agent in a session.
pub type AgentRunId = Id<kind::AgentRun>;
/// An API key; part of its token.
pub type ApiKeyId = Id<kind::ApiKey>;
/// A prompt, a tool or a runtime config.
pub type ArtifactId = Id<kind::Artifact>;
/// One entry of the audit trail.
pub type AuditEventId = Id<kind::AuditEvent>;
/// A binding of an agent to exact versions.
pub type BindingId = Id<kind::Binding>;
/// A phone call.
pub type CallId = Id<kind::Call>;
/// A file of a tenant.
pub type FileId = Id<kind::File>;
/// A job: background work about one subject.
pub type JobId = Id<kind::Job>;
/// An inbound mapping: how calls to a number are handled.
pub type MappingId = Id<kind::Mapping>;
/// The assignment of a phone number to a tenant.
pub type NumberId = Id<kind::Number>;
/// An object in the object store.
pub type ObjectId = Id<kind::Object>;
/// A participant of a session.
pub type ParticipantId = Id<kind::Participant>;
/// A secret.
pub type SecretId = Id<kind::Secret>;
/// A voice session.
pub type SessionId = Id<kind::Session>;
/// One entry of a session's timeline.
pub type SessionEventId = Id<kind::SessionEvent>;
/// A tenant.
pub type TenantId = Id<kind::Tenant>;
/// One call of a tool.
pub type ToolCallId = Id<kind::ToolCall>;
/// A SIP trunk.
pub type TrunkId = Id<kind::Trunk>;
/// One turn of a transcript.
pub type TurnId = Id<kind::Turn>;
/// One usage report.
pub type UsageId = Id<kind::Usage>;
/// A person of a tenant.
pub type UserId = Id<kind::User>;
/// One immutable version of an artifact of any kind.
pub type VersionId = Id<kind::Version>;
/// One immutable version of a prompt.
pub type PromptVersionId = Id<kind::PromptVersion>;
/// One immutable version of a runtime config.
pub type RuntimeConfigVersionId = Id<kind::RuntimeConfigVersion>;
/// One immutable version of a tool.
pub type ToolVersionId = Id<kind::ToolVersion>;

impl From<PromptVersionId> for VersionId {
    fn from(id: PromptVersionId) -> Self {
        Self::new(id.uuid())
    }
}

impl From<RuntimeConfigVersionId> for VersionId {
    fn from(id: RuntimeConfigVersionId) -> Self {
        Self::new(id.uuid())
    }
}

impl From<ToolVersionId> for VersionId {
    fn from(id: ToolVersionId) -> Self {
        Self::new(id.uuid())
    }
}

impl UserId {
    /// Prefix of the identities of users; reserved for them.
    pub const IDENTITY: &str = "usr_";

    /// The user's identity in rooms.
    pub fn identity(self) -> String {
        format!("{}{}", Self::IDENTITY, self.0)
    }

    /// The user with this identity.
    pub fn of_identity(identity: &str) -> Option<Self> {
        identity.strip_prefix(Self::IDENTITY)?.parse().ok()
    }
}

impl<K> Id<K> {
    /// The id with this value.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// The bare value.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<K> FromStr for Id<K> {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::new)
    }
}
impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(feature = "openapi")]
mod schema {
    use utoipa::{
        ToSchema,
        openapi::{
            RefOr,
            schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type},
        },
    };

    use crate::schema::ComposeSchema;

    use super::Id;

    impl<K> ComposeSchema for Id<K> {
        fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
                .max_length(Some(36))
                .into()
        }
    }
    impl<K> ToSchema for Id<K> {}
}

#[cfg(feature = "diesel")]
mod columns {
    use diesel::{
        deserialize::{self, FromSql},
        pg::{Pg, PgValue},
        serialize::{self, Output, ToSql},
        sql_types,
    };
    use uuid::Uuid;

    use super::Id;

    impl<K> ToSql<sql_types::Uuid, Pg> for Id<K> {
        fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
            <Uuid as ToSql<sql_types::Uuid, Pg>>::to_sql(&self.0, out)
        }
    }

    impl<K> FromSql<sql_types::Uuid, Pg> for Id<K> {
        fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
            <Uuid as FromSql<sql_types::Uuid, Pg>>::from_sql(value).map(Self::new)
        }
    }
}
