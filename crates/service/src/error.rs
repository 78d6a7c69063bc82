//! What can go wrong, with a stable code and words for whoever asked.

use std::fmt;

use patchbay_domain::{
    Invalid, TenantId, Violation, invalid::MOST_VIOLATIONS, text::without_quotes,
};

use crate::keyring::KeyRingError;

/// A result of the service.
pub type Result<T> = std::result::Result<T, Error>;

/// Stable codes: what is wrong, whoever asks. New ones may appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the names say it, the API's table has the words"
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
    /// The name, as clients know it.
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

    /// Whether it is a fault of ours, or of what we depend on, rather than the caller's.
    pub const fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Internal | Self::StoredDataUnreadable | Self::Unavailable
        )
    }
}

/// What went wrong.
#[derive(Debug)]
pub struct Error {
    /// What kind of thing.
    pub code: Code,
    /// What is wrong this time, in words for whoever asked.
    pub detail: String,
    /// Every value that is wrong.
    pub violations: Vec<Violation>,
    /// Seconds after which one more may come, where there were too many.
    pub retry_after: Option<u64>,
}

impl Error {
    /// An error with this code and these words.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            violations: Vec::new(),
            retry_after: None,
        }
    }

    /// What does not exist, or is not the caller's to see: the same answer.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "There is no such resource.")
    }

    /// Wrong values.
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

    /// Wrong values in a part of the body.
    pub fn invalid_within(pointer: &str, violations: Vec<Violation>) -> Self {
        let violations = violations.into_iter();
        Self::invalid(violations.map(|found| found.within(pointer)).collect())
    }

    /// One wrong value at `pointer`.
    pub fn invalid_at(pointer: &str, invalid: Invalid) -> Self {
        Self::invalid(vec![invalid.at(pointer)])
    }

    /// A request, call or session too many, with its code; the next may come in this many seconds.
    pub fn too_many(code: Code, detail: String, retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(code, detail)
        }
    }

    /// A defect of ours: logged here, without the values that the cause may quote, and kept from the client.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let cause = without_quotes(&cause.to_string());
        tracing::error!(cause, "internal error");
        Self::new(
            Code::Internal,
            "The error has been logged under the request id.",
        )
    }

    /// What is stored of a tenant, in this column, cannot be read. Nothing is done in its place: what is
    /// lost may have been a limit.
    pub fn unreadable(tenant: TenantId, column: &str, cause: impl fmt::Display) -> Self {
        let cause = without_quotes(&cause.to_string());
        tracing::error!(%tenant, column, cause, "what is stored cannot be read");
        let detail = format!(
            "`{column}` of the tenant {tenant} cannot be read. The operator must set it anew."
        );
        Self::new(Code::StoredDataUnreadable, detail)
    }

    /// Whether this is its code.
    pub fn is(&self, code: Code) -> bool {
        self.code == code
    }

    /// Whether it is a fault of ours, or of what we depend on, rather than the caller's.
    pub const fn is_ours(&self) -> bool {
        self.code.is_ours()
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
            Db::Unique(constraint) => of_unique(&constraint),
            Db::ForeignKey(constraint) => of_foreign_key(&constraint),
            Db::Unfit(cause) => Self::internal(cause),
            Db::Unstorable(cause) => {
                tracing::error!(%cause, "a value came as far as the database that cannot be stored");
                let invalid = Invalid::new("invalid_value", "a value cannot be stored");
                Self::invalid_at("", invalid)
            }
            Db::Unreadable(cause) => {
                tracing::error!(%cause, "what is stored cannot be read");
                let detail = format!("{cause}. The operator must mend the row.");
                Self::new(Code::StoredDataUnreadable, detail)
            }
            Db::Other(cause) => Self::internal(cause),
        }
    }
}

fn of_unique(constraint: &str) -> Error {
    let (code, detail) = match constraint {
        "tenants_slug_key" => (Code::SlugTaken, "Another tenant has this slug."),
        "agents_name_key" | "artifacts_name_key" | "sip_trunks_name_key" => {
            (Code::NameTaken, "Another one in this tenant has this name.")
        }
        "inbound_mappings_number_key" => {
            (Code::NumberMapped, "Change the number's mapping instead.")
        }
        "users_email_key" => (Code::EmailTaken, "Another user has this email address."),
        "users_external_id_key" => (Code::ExternalIdTaken, "Another user has this external id."),
        other => return Error::internal(format!("unique constraint {other}")),
    };
    Error::new(code, detail)
}

fn of_foreign_key(constraint: &str) -> Error {
    match constraint {
        "bindings_prompt_version_fkey"
        | "bindings_runtime_config_version_fkey"
        | "binding_tools_version_fkey" => {
            Error::new(Code::VersionInUse, "A binding names this version.")
        }
        // It was deleted just now.
        "agent_files_file_fkey" => Error::not_found(),
        other => Error::internal(format!("foreign key {other}")),
    }
}

impl From<patchbay_storage::Error> for Error {
    fn from(error: patchbay_storage::Error) -> Self {
        tracing::warn!(%error, "the object store failed");
        Self::new(
            Code::Unavailable,
            "The object store is unreachable or refuses.",
        )
    }
}

impl From<patchbay_vectors::Error> for Error {
    fn from(error: patchbay_vectors::Error) -> Self {
        if let patchbay_vectors::Error::Panicked = error {
            return Self::internal(error);
        }
        tracing::warn!(%error, "no embedding");
        Self::new(
            Code::Unavailable,
            "The embedding model is busy, unreachable or refuses.",
        )
    }
}

impl From<patchbay_livekit::Error> for Error {
    fn from(error: patchbay_livekit::Error) -> Self {
        tracing::warn!(%error, "LiveKit failed");
        Self::new(Code::Unavailable, "LiveKit is unreachable or refused.")
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
