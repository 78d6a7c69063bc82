//! The service's error type: a stable code, and a detail for the client.

use std::fmt;

use patchbay_domain::{
    AgentId, Invalid, TenantId, Violation, invalid::MOST_VIOLATIONS, session::SessionState,
    text::without_quotes,
};
use strum::VariantArray;
use uuid::Uuid;

use crate::keyring::KeyRingError;

/// Result type of the service.
pub type Result<T> = std::result::Result<T, Error>;

/// Stable error codes. New ones may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
#[expect(
    missing_docs,
    reason = "the names are self-explanatory, and the API's error table has the titles"
)]
pub enum Code {
    InvalidKey,
    MissingScope,
    TenantSuspended,
    OperatorOnly,
    NotFound,
    BadRequest,
    BodyTimeout,
    BodyTooLarge,
    ValidationFailed,
    PreconditionFailed,
    IdempotencyKeyReused,
    IdempotencyInFlight,
    OutcomeUnknown,
    Erased,
    NameTaken,
    SlugTaken,
    EmailTaken,
    ExternalIdTaken,
    NumberTaken,
    NumberMapped,
    SecretsNotConfigured,
    StorageNotConfigured,
    EmbeddingsNotConfigured,
    TelephonyNotConfigured,
    VersionInUse,
    BindingActive,
    AgentInUse,
    NoCapableWorker,
    JobRunning,
    TrunkInUse,
    NoActiveBinding,
    SessionLive,
    SessionOver,
    SessionNotJoinable,
    IdentityInUse,
    TooManyParticipants,
    ToolNotCallable,
    CallNotAnswered,
    CallOver,
    MappingDisabled,
    Closed,
    IngestRunning,
    FileLimitReached,
    KeyLimitReached,
    CallLimitReached,
    SessionLimitReached,
    RateLimited,
    Internal,
    StoredDataUnreadable,
    Unavailable,
}

impl Code {
    /// Returns the name that clients receive as `code`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidKey => "invalid_key",
            Self::MissingScope => "missing_scope",
            Self::TenantSuspended => "tenant_suspended",
            Self::OperatorOnly => "operator_only",
            Self::NotFound => "not_found",
            Self::BadRequest => "bad_request",
            Self::BodyTimeout => "body_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::ValidationFailed => "validation_failed",
            Self::PreconditionFailed => "precondition_failed",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::IdempotencyInFlight => "idempotency_in_flight",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Erased => "erased",
            Self::NameTaken => "name_taken",
            Self::SlugTaken => "slug_taken",
            Self::EmailTaken => "email_taken",
            Self::ExternalIdTaken => "external_id_taken",
            Self::NumberTaken => "number_taken",
            Self::NumberMapped => "number_mapped",
            Self::SecretsNotConfigured => "secrets_not_configured",
            Self::StorageNotConfigured => "storage_not_configured",
            Self::EmbeddingsNotConfigured => "embeddings_not_configured",
            Self::TelephonyNotConfigured => "telephony_not_configured",
            Self::VersionInUse => "version_in_use",
            Self::BindingActive => "binding_active",
            Self::AgentInUse => "agent_in_use",
            Self::NoCapableWorker => "no_capable_worker",
            Self::JobRunning => "job_running",
            Self::TrunkInUse => "trunk_in_use",
            Self::NoActiveBinding => "no_active_binding",
            Self::SessionLive => "session_live",
            Self::SessionOver => "session_over",
            Self::SessionNotJoinable => "session_not_joinable",
            Self::IdentityInUse => "identity_in_use",
            Self::TooManyParticipants => "too_many_participants",
            Self::ToolNotCallable => "tool_not_callable",
            Self::CallNotAnswered => "call_not_answered",
            Self::CallOver => "call_over",
            Self::MappingDisabled => "mapping_disabled",
            Self::Closed => "closed",
            Self::IngestRunning => "ingest_running",
            Self::FileLimitReached => "file_limit_reached",
            Self::KeyLimitReached => "key_limit_reached",
            Self::CallLimitReached => "call_limit_reached",
            Self::SessionLimitReached => "session_limit_reached",
            Self::RateLimited => "rate_limited",
            Self::Internal => "internal",
            Self::StoredDataUnreadable => "stored_data_unreadable",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether the service or one of its dependencies failed, as opposed to a client error.
    pub const fn is_server_fault(self) -> bool {
        matches!(
            self,
            Self::Internal | Self::StoredDataUnreadable | Self::Unavailable
        )
    }
}

/// A resource that stands in the way of a change.
#[derive(Clone, Debug)]
pub struct Blocker {
    /// Kind of the resource, such as `binding`.
    pub kind: &'static str,
    /// Its id.
    pub id: Uuid,
    /// A name to show: that of its agent, or its number.
    pub name: Option<String>,
    /// The agent that it belongs to.
    pub agent_id: Option<AgentId>,
}

impl Blocker {
    /// A resource without a name.
    pub const fn unnamed(kind: &'static str, id: Uuid) -> Self {
        Self {
            kind,
            id,
            name: None,
            agent_id: None,
        }
    }
}

/// An error of the service.
#[derive(Debug)]
pub struct Error {
    /// Stable code.
    pub code: Code,
    /// Explanation of this occurrence, for the client.
    pub detail: String,
    /// Invalid or taken values.
    pub violations: Vec<Violation>,
    /// What stands in the way of the change.
    pub blocked_by: Vec<Blocker>,
    /// Seconds after which the client may retry, if a limit was reached.
    pub retry_after: Option<u64>,
}

impl Error {
    /// Creates an error with this code and detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            violations: Vec::new(),
            blocked_by: Vec::new(),
            retry_after: None,
        }
    }

    /// `not_found`, both for a resource that does not exist and for one that the caller may not see, so that
    /// the two cannot be told apart.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "There is no such resource.")
    }

    /// `tenant_suspended`.
    pub fn tenant_suspended() -> Self {
        let detail = "The operator has suspended this tenant.";
        Self::new(Code::TenantSuspended, detail)
    }

    /// `session_over`, unless the session is starting or running.
    pub fn require_active(state: SessionState) -> Result<()> {
        match state.is_active() {
            true => Ok(()),
            false => Err(Self::new(
                Code::SessionOver,
                "The session is stopping or has ended.",
            )),
        }
    }

    /// `validation_failed` with these violations.
    pub fn invalid(mut violations: Vec<Violation>) -> Self {
        let detail = match violations.len() {
            1 => "1 value is not valid".to_owned(),
            count if count >= MOST_VIOLATIONS => {
                format!("{MOST_VIOLATIONS} values or more are not valid")
            }
            count => format!("{count} values are not valid"),
        };
        violations.truncate(MOST_VIOLATIONS);
        Self {
            violations,
            ..Self::new(Code::ValidationFailed, detail)
        }
    }

    /// `validation_failed` with violations whose pointers are relative to `pointer`.
    pub fn invalid_within(pointer: &str, violations: Vec<Violation>) -> Self {
        let violations = violations.into_iter();
        Self::invalid(
            violations
                .map(|violation| violation.within(pointer))
                .collect(),
        )
    }

    /// `validation_failed` with one violation at `pointer`.
    pub fn invalid_at(pointer: &str, invalid: Invalid) -> Self {
        Self::invalid(vec![invalid.at(pointer)])
    }

    /// `validation_failed`: the body refers to a resource that the tenant does not have.
    pub fn unknown_reference(pointer: &str) -> Self {
        let invalid = Invalid::new("unknown_reference", "there is no such resource");
        Self::invalid_at(pointer, invalid)
    }

    /// Fails if anything stands in the way of a change.
    pub fn require_unblocked(
        code: Code,
        detail: &str,
        blocked_by: impl IntoIterator<Item = Blocker>,
    ) -> Result<()> {
        let blocked_by: Vec<_> = blocked_by.into_iter().collect();
        if blocked_by.is_empty() {
            return Ok(());
        }
        Err(Self {
            blocked_by,
            ..Self::new(code, detail)
        })
    }

    /// A limit was reached; the client may retry after `retry_after` seconds.
    pub fn too_many(code: Code, detail: String, retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(code, detail)
        }
    }

    /// `internal`: a defect of the service. Logs the cause without the values that it may quote, and hides it
    /// from the client.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let cause = without_quotes(&cause.to_string());
        tracing::error!(cause, "internal error");
        Self::new(
            Code::Internal,
            "The error has been logged under the request id.",
        )
    }

    /// `stored_data_unreadable`: the value of this column cannot be read for the tenant. There is no fallback
    /// to a default, since the lost value may have been a limit.
    pub fn unreadable(tenant: TenantId, column: &str, cause: impl fmt::Display) -> Self {
        let cause = without_quotes(&cause.to_string());
        tracing::error!(%tenant, column, cause, "stored data cannot be read");
        let detail = format!(
            "`{column}` of the tenant {tenant} cannot be read. The operator must set it again."
        );
        Self::new(Code::StoredDataUnreadable, detail)
    }

    /// Whether the error has this code.
    pub fn is(&self, code: Code) -> bool {
        self.code == code
    }

    /// Whether the service or one of its dependencies failed, as opposed to a client error.
    pub const fn is_server_fault(&self) -> bool {
        self.code.is_server_fault()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.detail)
    }
}

impl std::error::Error for Error {}

impl From<patchbay_persistence::Error> for Error {
    fn from(error: patchbay_persistence::Error) -> Self {
        use patchbay_persistence::Error as Db;
        match error {
            Db::Unavailable(cause) => {
                tracing::warn!(%cause, "database unavailable");
                Self::new(Code::Unavailable, "The database is busy or unreachable.")
            }
            Db::Unique(constraint) => unique_violation(&constraint),
            Db::ForeignKey(constraint) => foreign_key_violation(&constraint),
            Db::Unfit(cause) => Self::internal(cause),
            Db::Unstorable(cause) => {
                tracing::error!(%cause, "a value that passed validation cannot be stored");
                let invalid = Invalid::new("invalid_value", "a value cannot be stored");
                Self::invalid_at("", invalid)
            }
            Db::Unreadable(cause) => {
                tracing::error!(%cause, "stored data cannot be read");
                let detail = format!("{cause}. The operator must repair the row.");
                Self::new(Code::StoredDataUnreadable, detail)
            }
            Db::ClaimLost => {
                Self::new(Code::Unavailable, "Another process has taken the job over.")
            }
            Db::Other(cause) => Self::internal(cause),
        }
    }
}

fn unique_violation(constraint: &str) -> Error {
    let (code, field, detail) = match constraint {
        "tenants_slug_key" => (Code::SlugTaken, "/slug", "Another tenant has this slug."),
        "agents_name_key" | "artifacts_name_key" | "sip_trunks_name_key" => (
            Code::NameTaken,
            "/name",
            "Another resource of this tenant has this name.",
        ),
        "inbound_mappings_number_key" => (
            Code::NumberMapped,
            "/number",
            "The number already has an inbound mapping. Update that mapping instead.",
        ),
        "users_email_key" => (
            Code::EmailTaken,
            "/email",
            "Another user has this email address.",
        ),
        "users_external_id_key" => (
            Code::ExternalIdTaken,
            "/external_id",
            "Another user has this external id.",
        ),
        other => return Error::internal(format!("unique constraint {other}")),
    };
    let taken = Invalid::new(code.name(), detail).at(field);
    Error {
        violations: vec![taken],
        ..Error::new(code, detail)
    }
}

fn foreign_key_violation(constraint: &str) -> Error {
    match constraint {
        "bindings_prompt_version_fkey"
        | "bindings_runtime_config_version_fkey"
        | "binding_tools_version_fkey" => {
            Error::new(Code::VersionInUse, "A binding names this version.")
        }
        // The file was deleted concurrently.
        "agent_files_file_fkey" => Error::not_found(),
        other => Error::internal(format!("foreign key {other}")),
    }
}

impl From<patchbay_storage::Error> for Error {
    fn from(error: patchbay_storage::Error) -> Self {
        tracing::warn!(%error, "object store request failed");
        Self::new(
            Code::Unavailable,
            "The object store is unreachable or refused the request.",
        )
    }
}

impl From<patchbay_vectors::Error> for Error {
    fn from(error: patchbay_vectors::Error) -> Self {
        if let patchbay_vectors::Error::Panicked = error {
            return Self::internal(error);
        }
        tracing::warn!(%error, "embedding request failed");
        Self::new(
            Code::Unavailable,
            "The embedding model is busy, unreachable or refused the request.",
        )
    }
}

impl From<patchbay_livekit::Error> for Error {
    fn from(error: patchbay_livekit::Error) -> Self {
        tracing::warn!(%error, "LiveKit request failed");
        Self::new(
            Code::Unavailable,
            "LiveKit is unreachable or refused the request.",
        )
    }
}

impl From<KeyRingError> for Error {
    fn from(error: KeyRingError) -> Self {
        match error {
            KeyRingError::Empty => {
                let detail = "The operator must set PATCHBAY_SECRET_KEYS first.";
                Self::new(Code::SecretsNotConfigured, detail)
            }
            other => Self::internal(other),
        }
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::invalid_at("", invalid)
    }
}
