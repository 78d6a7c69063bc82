//! Every error that a client can meet, and the only place where an error becomes a status.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
};
use patchbay_domain::{
    Invalid, TenantId, Violation, invalid::MOST_VIOLATIONS, text::without_quotes,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::keyring::KeyRingError;

/// A result of a handler or a flow.
pub type Result<T> = std::result::Result<T, ApiError>;

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Stable codes of errors; [`Code::row`] is their one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table says it")]
pub enum Code {
    InvalidJson,
    InvalidKey,
    InvalidSignature,
    InvalidIdempotencyKey,
    IdempotencyKeyReused,
    MissingScope,
    TenantSuspended,
    OperatorOnly,
    NotFound,
    MethodNotAllowed,
    BodyTimeout,
    NameTaken,
    SlugTaken,
    SecretsNotConfigured,
    EmailTaken,
    NumberTaken,
    ExternalIdTaken,
    VersionInUse,
    BindingActive,
    AgentInUse,
    NoActiveBinding,
    SessionLive,
    SessionOver,
    SessionNotJoinable,
    IdentityInUse,
    IdempotencyInFlight,
    OutcomeUnknown,
    ToolNotCallable,
    TooManyParticipants,
    TelephonyNotConfigured,
    TrunkInUse,
    CallNotAnswered,
    CallOver,
    CallLimitReached,
    SessionLimitReached,
    KeyLimitReached,
    NumberMapped,
    MappingDisabled,
    StorageNotConfigured,
    FileLimitReached,
    EmbeddingsNotConfigured,
    IngestRunning,
    RangeNotSatisfiable,
    Closed,
    Erased,
    PreconditionFailed,
    BodyTooLarge,
    UnsupportedMediaType,
    ValidationFailed,
    RateLimited,
    BadRequest,
    Internal,
    StoredDataUnreadable,
    Unavailable,
}

impl Code {
    /// Code, status and title.
    pub const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::InvalidJson => ("invalid_json", 400, "The body is not JSON"),
            Self::BadRequest => ("bad_request", 400, "The request cannot be understood"),
            Self::InvalidKey => ("invalid_key", 401, "A valid API key is needed"),
            Self::InvalidSignature => ("invalid_signature", 401, "The signature does not match"),
            Self::MissingScope => ("missing_scope", 403, "The key lacks a scope"),
            Self::TenantSuspended => ("tenant_suspended", 403, "The tenant is suspended"),
            Self::OperatorOnly => ("operator_only", 403, "Only the operator may do this"),
            Self::NotFound => ("not_found", 404, "Not found"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "Method not allowed"),
            Self::BodyTimeout => ("body_timeout", 408, "The body took too long"),
            Self::NameTaken => ("name_taken", 409, "The name is taken"),
            Self::SlugTaken => ("slug_taken", 409, "The slug is taken"),
            Self::SecretsNotConfigured => (
                "secrets_not_configured",
                409,
                "The installation keeps no secrets",
            ),
            Self::NumberTaken => ("number_taken", 409, "The number is taken"),
            Self::EmailTaken => ("email_taken", 409, "The email address is taken"),
            Self::ExternalIdTaken => ("external_id_taken", 409, "The external id is taken"),
            Self::VersionInUse => ("version_in_use", 409, "A binding names the version"),
            Self::BindingActive => ("binding_active", 409, "The binding is active"),
            Self::AgentInUse => ("agent_in_use", 409, "A live session uses the agent"),
            Self::NoActiveBinding => ("no_active_binding", 409, "The agent has no active binding"),
            Self::SessionLive => ("session_live", 409, "The session is not over"),
            Self::SessionOver => ("session_over", 409, "The session is over"),
            Self::SessionNotJoinable => (
                "session_not_joinable",
                409,
                "The session cannot be joined now",
            ),
            Self::IdentityInUse => ("identity_in_use", 409, "The identity is in the room"),
            Self::IdempotencyInFlight => (
                "idempotency_in_flight",
                409,
                "The first request with this key is in flight",
            ),
            Self::OutcomeUnknown => ("outcome_unknown", 409, "The outcome is not known"),
            Self::ToolNotCallable => ("tool_not_callable", 409, "Patchbay does not call this tool"),
            Self::TooManyParticipants => ("too_many_participants", 409, "The session is full"),
            Self::TelephonyNotConfigured => (
                "telephony_not_configured",
                409,
                "The tenant has no SIP trunk",
            ),
            Self::TrunkInUse => ("trunk_in_use", 409, "A live call uses the trunk"),
            Self::NumberMapped => ("number_mapped", 409, "The number has a mapping"),
            Self::MappingDisabled => ("mapping_disabled", 409, "The mapping is disabled"),
            Self::FileLimitReached => ("file_limit_reached", 409, "The tenant has too many bytes"),
            Self::StorageNotConfigured => (
                "storage_not_configured",
                409,
                "The installation keeps no files",
            ),
            Self::EmbeddingsNotConfigured => (
                "embeddings_not_configured",
                409,
                "The installation has no embedding model",
            ),
            Self::IngestRunning => ("ingest_running", 409, "The file is being ingested"),
            Self::RangeNotSatisfiable => {
                ("range_not_satisfiable", 416, "The range is not in the file")
            }
            Self::Closed => ("closed", 409, "Nobody answers at this time"),
            Self::CallNotAnswered => ("call_not_answered", 409, "Nobody has answered the call"),
            Self::CallOver => ("call_over", 409, "The call is over"),
            Self::CallLimitReached => ("call_limit_reached", 429, "Too many telephone calls"),
            Self::SessionLimitReached => ("session_limit_reached", 429, "Too many live sessions"),
            Self::KeyLimitReached => ("key_limit_reached", 409, "The tenant has too many keys"),
            Self::Erased => ("erased", 410, "The answer has been erased"),
            Self::InvalidIdempotencyKey => (
                "invalid_idempotency_key",
                400,
                "The Idempotency-Key cannot be used",
            ),
            Self::IdempotencyKeyReused => (
                "idempotency_key_reused",
                422,
                "The Idempotency-Key was used for another request",
            ),
            Self::PreconditionFailed => {
                ("precondition_failed", 412, "The resource has changed since")
            }
            Self::BodyTooLarge => ("body_too_large", 413, "The body is too large"),
            Self::UnsupportedMediaType => (
                "unsupported_media_type",
                415,
                "The media type is not supported",
            ),
            Self::ValidationFailed => ("validation_failed", 422, "The request is not valid"),
            Self::RateLimited => ("rate_limited", 429, "Too many requests"),
            Self::Internal => ("internal", 500, "Something went wrong here"),
            Self::StoredDataUnreadable => (
                "stored_data_unreadable",
                500,
                "What is stored cannot be read",
            ),
            Self::Unavailable => ("unavailable", 503, "Not available at the moment"),
        }
    }

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.row().1
    }
}

/// An error on its way to a client.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    detail: String,
    violations: Vec<Violation>,
    /// One that belongs to the answer.
    header: Option<(HeaderName, String)>,
}

/// The body of every error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "about:blank",
    "title": "The request is not valid",
    "status": 422,
    "detail": "1 value is not valid",
    "code": "validation_failed",
    "request_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f11",
    "errors": [{"pointer": "/name", "code": "too_short", "message": "at least 1 characters are needed, and not blanks alone"}]
}))]
pub struct Problem {
    /// Always `about:blank`: the code tells problems apart.
    #[serde(rename = "type")]
    #[schema(max_length = 200)]
    pub kind: String,
    /// The code in words; the same for every occurrence.
    #[schema(max_length = 200)]
    pub title: String,
    /// The HTTP status again.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong this time, in words.
    #[schema(max_length = 4000)]
    pub detail: String,
    /// Stable code to act on. New codes may appear.
    #[schema(max_length = 100)]
    pub code: String,
    /// The id of this request, as in the `X-Request-Id` header and in the logs.
    #[schema(max_length = 128)]
    pub request_id: String,
    /// With status 422: every value that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub errors: Vec<Violation>,
}

impl ApiError {
    /// An error with this code and these words.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            violations: Vec::new(),
            header: None,
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

    /// A method that the path does not have.
    pub fn method_not_allowed(allow: String) -> Self {
        let detail = format!("This path allows {allow}.");
        Self {
            header: Some((header::ALLOW, allow)),
            ..Self::new(Code::MethodNotAllowed, detail)
        }
    }

    /// A range that lies outside of the file of `size` bytes.
    pub fn not_in_range(size: u64) -> Self {
        let detail = format!("The file has {size} bytes.");
        Self {
            header: Some((header::CONTENT_RANGE, format!("bytes */{size}"))),
            ..Self::new(Code::RangeNotSatisfiable, detail)
        }
    }

    /// A defect of ours: logged here, without the values that the cause may quote, and not told to the
    /// client.
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

    /// The code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What is wrong this time.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether it is a fault of ours, or of what we depend on, rather than the caller's.
    pub const fn is_ours(&self) -> bool {
        self.code.status() >= 500
    }

    /// Whether this is its code.
    pub fn is(&self, code: Code) -> bool {
        self.code == code
    }

    /// A request, call or session too many, with its code; the next may come in this many seconds.
    pub fn too_many(code: Code, detail: String, retry_after: u64) -> Self {
        Self {
            header: Some((header::RETRY_AFTER, retry_after.to_string())),
            ..Self::new(code, detail)
        }
    }

    /// A request that took longer than it may.
    pub fn timed_out(limit: std::time::Duration) -> Self {
        tracing::error!(?limit, "a request took too long");
        let detail = "It took too long. Whether a change took effect is not known: look before you repeat it.";
        Self::new(Code::Unavailable, detail)
    }

    /// The error that stands for a bare status of the framework.
    pub fn of_status(status: StatusCode) -> Self {
        let code = match status.as_u16() {
            404 => return Self::not_found(),
            408 => Code::BodyTimeout,
            413 => Code::BodyTooLarge,
            415 => Code::UnsupportedMediaType,
            400..500 => Code::BadRequest,
            503 => Code::Unavailable,
            _ => Code::Internal,
        };
        Self::new(code, code.row().2)
    }

    /// The answer, with the id of the request in it.
    pub fn response(&self, request_id: &str) -> HttpResponse {
        let (code, status, title) = self.code.row();
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: title.to_owned(),
            status,
            detail: self.detail.clone(),
            code: code.to_owned(),
            request_id: request_id.to_owned(),
            errors: self.violations.clone(),
        };
        let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap_or_default());
        if status == 401 {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"patchbay\""));
        }
        if status == 503 {
            response.insert_header((header::RETRY_AFTER, "1"));
        }
        if let Some((name, value)) = &self.header {
            response.insert_header((name, &**value));
        }
        response
            .content_type(PROBLEM_JSON)
            .body(serde_json::to_vec(&problem).unwrap_or_default())
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.detail)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or_default()
    }

    fn error_response(&self) -> HttpResponse {
        // The envelope, which knows the request id, writes the final body.
        self.response("")
    }
}

impl From<patchbay_persistence::Error> for ApiError {
    fn from(error: patchbay_persistence::Error) -> Self {
        use patchbay_persistence::Error;
        match error {
            Error::Unavailable(cause) => {
                tracing::warn!(%cause, "database unavailable");
                Self::new(Code::Unavailable, "The database is busy or unreachable.")
            }
            Error::Unique(constraint) => match &*constraint {
                "tenants_slug_key" => Self::new(Code::SlugTaken, "Another tenant has this slug."),
                "agents_name_key" | "artifacts_name_key" | "sip_trunks_name_key" => {
                    Self::new(Code::NameTaken, "Another one in this tenant has this name.")
                }
                "inbound_mappings_number_key" => {
                    Self::new(Code::NumberMapped, "Change the number's mapping instead.")
                }
                "users_email_key" => {
                    Self::new(Code::EmailTaken, "Another user has this email address.")
                }
                "users_external_id_key" => {
                    Self::new(Code::ExternalIdTaken, "Another user has this external id.")
                }
                other => Self::internal(format!("unique constraint {other}")),
            },
            Error::ForeignKey(constraint) => match &*constraint {
                "bindings_prompt_version_fkey"
                | "bindings_runtime_config_version_fkey"
                | "binding_tools_version_fkey" => {
                    Self::new(Code::VersionInUse, "A binding names this version.")
                }
                // It was deleted just now.
                "agent_files_file_fkey" => Self::not_found(),
                other => Self::internal(format!("foreign key {other}")),
            },
            Error::Unfit(cause) => Self::internal(cause),
            Error::Unstorable(cause) => {
                tracing::error!(%cause, "a value came as far as the database that cannot be stored");
                let invalid = Invalid::new("invalid_value", "a value cannot be stored");
                Self::invalid_at("", invalid)
            }
            Error::Other(cause) => Self::internal(cause),
        }
    }
}

impl From<patchbay_storage::Error> for ApiError {
    fn from(error: patchbay_storage::Error) -> Self {
        tracing::warn!(%error, "the object store failed");
        Self::new(
            Code::Unavailable,
            "The object store is unreachable or refuses.",
        )
    }
}

impl From<patchbay_vectors::Error> for ApiError {
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

impl From<patchbay_livekit::Error> for ApiError {
    fn from(error: patchbay_livekit::Error) -> Self {
        tracing::warn!(%error, "LiveKit failed");
        Self::new(Code::Unavailable, "LiveKit is unreachable or refused.")
    }
}

impl From<KeyRingError> for ApiError {
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

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::invalid_at("", invalid)
    }
}
