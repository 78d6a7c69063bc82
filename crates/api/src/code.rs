//! All error codes of the API, with status and title.

use patchbay_service as service;
use strum::VariantArray;

/// Codes of errors that are detected before the service is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
#[expect(missing_docs, reason = "the table of titles describes them")]
pub enum HttpCode {
    InvalidJson,
    InvalidSignature,
    InvalidIdempotencyKey,
    MethodNotAllowed,
    UnsupportedMediaType,
    RangeNotSatisfiable,
}

/// A stable error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// An error of the request itself.
    Http(HttpCode),
    /// An error of the service.
    Service(service::Code),
}

impl From<HttpCode> for Code {
    fn from(code: HttpCode) -> Self {
        Self::Http(code)
    }
}

impl From<service::Code> for Code {
    fn from(code: service::Code) -> Self {
        Self::Service(code)
    }
}

impl Code {
    /// Returns all codes.
    pub fn all() -> impl Iterator<Item = Self> {
        let http = HttpCode::VARIANTS.iter().copied().map(Self::Http);
        let service = service::Code::VARIANTS.iter().copied();
        http.chain(service.map(Self::Service))
    }

    /// Returns the name in responses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http(code) => of_http(code).0,
            Self::Service(code) => code.name(),
        }
    }

    /// Returns the HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Http(code) => of_http(code).1,
            Self::Service(code) => of_service(code).0,
        }
    }

    /// Returns the title: a description of the code, the same for every occurrence.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Http(code) => of_http(code).2,
            Self::Service(code) => of_service(code).1,
        }
    }
}

/// Name, status and title.
const fn of_http(code: HttpCode) -> (&'static str, u16, &'static str) {
    match code {
        HttpCode::InvalidJson => ("invalid_json", 400, "The body is not valid JSON"),
        HttpCode::InvalidSignature => ("invalid_signature", 401, "The signature does not match"),
        HttpCode::InvalidIdempotencyKey => (
            "invalid_idempotency_key",
            400,
            "The Idempotency-Key is not valid",
        ),
        HttpCode::MethodNotAllowed => ("method_not_allowed", 405, "Method not allowed"),
        HttpCode::UnsupportedMediaType => (
            "unsupported_media_type",
            415,
            "The media type is not supported",
        ),
        HttpCode::RangeNotSatisfiable => (
            "range_not_satisfiable",
            416,
            "The range is outside the file",
        ),
    }
}

/// Status and title.
const fn of_service(code: service::Code) -> (u16, &'static str) {
    use service::Code;
    match code {
        Code::BadRequest => (400, "The request is malformed"),
        Code::InvalidKey => (401, "A valid API key is required"),
        Code::MissingScope => (403, "The API key lacks a required scope"),
        Code::TenantSuspended => (403, "The tenant is suspended"),
        Code::OperatorOnly => (403, "Only the operator may do this"),
        Code::NotFound => (404, "Not found"),
        Code::BodyTimeout => (408, "The body did not arrive in time"),
        Code::NameTaken => (409, "The name is already in use"),
        Code::SlugTaken => (409, "The slug is already in use"),
        Code::SecretsNotConfigured => (409, "Secrets are not configured in this installation"),
        Code::NumberTaken => (409, "The phone number is already assigned"),
        Code::EmailTaken => (409, "The email address is already in use"),
        Code::ExternalIdTaken => (409, "The external id is already in use"),
        Code::VersionInUse => (409, "A binding refers to the version"),
        Code::BindingActive => (409, "The binding is active"),
        Code::AgentInUse => (409, "A live session uses the agent"),
        Code::NoCapableWorker => (409, "No live worker can run the binding"),
        Code::JobRunning => (409, "The job is running"),
        Code::NoActiveBinding => (409, "The agent has no active binding"),
        Code::SessionLive => (409, "The session has not ended"),
        Code::SessionOver => (409, "The session has ended"),
        Code::SessionNotJoinable => (409, "The session cannot be joined in its current state"),
        Code::IdentityInUse => (409, "A participant with this identity is in the room"),
        Code::IdempotencyInFlight => (409, "A request with this Idempotency-Key is in progress"),
        Code::OutcomeUnknown => (409, "The outcome of the request is unknown"),
        Code::ToolNotCallable => (409, "The tool is not called by Patchbay"),
        Code::TooManyParticipants => (409, "The session has too many participants"),
        Code::TelephonyNotConfigured => (409, "The tenant has no SIP trunk"),
        Code::TrunkInUse => (409, "A live call uses the trunk"),
        Code::NumberMapped => (409, "The phone number has an inbound mapping"),
        Code::MappingDisabled => (409, "The inbound mapping is disabled"),
        Code::FileLimitReached => (409, "The tenant has reached its storage limit"),
        Code::StorageNotConfigured => (409, "File storage is not configured in this installation"),
        Code::EmbeddingsNotConfigured => {
            (409, "No embedding model is configured in this installation")
        }
        Code::IngestRunning => (409, "The file is being ingested"),
        Code::Closed => (409, "The inbound mapping is closed at this time"),
        Code::CallNotAnswered => (409, "The call has not been answered"),
        Code::CallOver => (409, "The call has ended"),
        Code::KeyLimitReached => (409, "The tenant has reached its limit of API keys"),
        Code::Erased => (410, "The stored response has been erased"),
        Code::PreconditionFailed => (412, "The resource has another revision"),
        Code::BodyTooLarge => (413, "The body is too large"),
        Code::IdempotencyKeyReused => (422, "The Idempotency-Key was used for another request"),
        Code::ValidationFailed => (422, "The request is not valid"),
        Code::CallLimitReached => (429, "Too many concurrent calls"),
        Code::SessionLimitReached => (429, "Too many live sessions"),
        Code::RateLimited => (429, "Too many requests"),
        Code::Internal => (500, "Internal error"),
        Code::StoredDataUnreadable => (500, "Stored data cannot be read"),
        Code::Unavailable => (503, "Temporarily unavailable"),
    }
}
