//! Every code that a client can meet, with its status and its title: the one table of errors.

use patchbay_service as service;

/// Codes of what is wrong with a request before the service sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table says it")]
pub enum HttpCode {
    InvalidJson,
    InvalidSignature,
    InvalidIdempotencyKey,
    MethodNotAllowed,
    UnsupportedMediaType,
    RangeNotSatisfiable,
}

/// A stable code: HTTP's, or the service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// What is wrong with the request itself.
    Http(HttpCode),
    /// What the service says.
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
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http(code) => of_http(code).0,
            Self::Service(code) => code.name(),
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Http(code) => of_http(code).1,
            Self::Service(code) => of_service(code).0,
        }
    }

    /// The code in words.
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
        HttpCode::InvalidJson => ("invalid_json", 400, "The body is not JSON"),
        HttpCode::InvalidSignature => ("invalid_signature", 401, "The signature does not match"),
        HttpCode::InvalidIdempotencyKey => (
            "invalid_idempotency_key",
            400,
            "The Idempotency-Key cannot be used",
        ),
        HttpCode::MethodNotAllowed => ("method_not_allowed", 405, "Method not allowed"),
        HttpCode::UnsupportedMediaType => (
            "unsupported_media_type",
            415,
            "The media type is not supported",
        ),
        HttpCode::RangeNotSatisfiable => {
            ("range_not_satisfiable", 416, "The range is not in the file")
        }
    }
}

/// Status and title.
const fn of_service(code: service::Code) -> (u16, &'static str) {
    use service::Code;
    match code {
        Code::BadRequest => (400, "The request cannot be understood"),
        Code::InvalidKey => (401, "A valid API key is needed"),
        Code::MissingScope => (403, "The key lacks a scope"),
        Code::TenantSuspended => (403, "The tenant is suspended"),
        Code::OperatorOnly => (403, "Only the operator may do this"),
        Code::NotFound => (404, "Not found"),
        Code::BodyTimeout => (408, "The body took too long"),
        Code::NameTaken => (409, "The name is taken"),
        Code::SlugTaken => (409, "The slug is taken"),
        Code::SecretsNotConfigured => (409, "The installation keeps no secrets"),
        Code::NumberTaken => (409, "The number is taken"),
        Code::EmailTaken => (409, "The email address is taken"),
        Code::ExternalIdTaken => (409, "The external id is taken"),
        Code::VersionInUse => (409, "A binding names the version"),
        Code::BindingActive => (409, "The binding is active"),
        Code::AgentInUse => (409, "A live session uses the agent"),
        Code::NoActiveBinding => (409, "The agent has no active binding"),
        Code::SessionLive => (409, "The session is not over"),
        Code::SessionOver => (409, "The session is over"),
        Code::SessionNotJoinable => (409, "The session cannot be joined now"),
        Code::IdentityInUse => (409, "The identity is in the room"),
        Code::IdempotencyInFlight => (409, "The first request with this key is in flight"),
        Code::OutcomeUnknown => (409, "The outcome is not known"),
        Code::ToolNotCallable => (409, "Patchbay does not call this tool"),
        Code::TooManyParticipants => (409, "The session is full"),
        Code::TelephonyNotConfigured => (409, "The tenant has no SIP trunk"),
        Code::TrunkInUse => (409, "A live call uses the trunk"),
        Code::NumberMapped => (409, "The number has a mapping"),
        Code::MappingDisabled => (409, "The mapping is disabled"),
        Code::FileLimitReached => (409, "The tenant has too many bytes"),
        Code::StorageNotConfigured => (409, "The installation keeps no files"),
        Code::EmbeddingsNotConfigured => (409, "The installation has no embedding model"),
        Code::IngestRunning => (409, "The file is being ingested"),
        Code::Closed => (409, "Nobody answers at this time"),
        Code::CallNotAnswered => (409, "Nobody has answered the call"),
        Code::CallOver => (409, "The call is over"),
        Code::KeyLimitReached => (409, "The tenant has too many keys"),
        Code::Erased => (410, "The answer has been erased"),
        Code::PreconditionFailed => (412, "The resource has changed since"),
        Code::BodyTooLarge => (413, "The body is too large"),
        Code::IdempotencyKeyReused => (422, "The Idempotency-Key was used for another request"),
        Code::ValidationFailed => (422, "The request is not valid"),
        Code::CallLimitReached => (429, "Too many telephone calls"),
        Code::SessionLimitReached => (429, "Too many live sessions"),
        Code::RateLimited => (429, "Too many requests"),
        Code::Internal => (500, "Something went wrong here"),
        Code::StoredDataUnreadable => (500, "What is stored cannot be read"),
        Code::Unavailable => (503, "Not available at the moment"),
    }
}
