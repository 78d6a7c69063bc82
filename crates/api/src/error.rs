//! Conversion of errors to HTTP responses.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
};
use patchbay_domain::{AgentId, Violation};
use patchbay_service::{self as service, Blocker};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    code::{Code, HttpCode},
    openapi::vocabulary::{BlockerType, ErrorCode},
};

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An error that is returned to a client.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    detail: String,
    violations: Vec<Violation>,
    blocked_by: Vec<Blocker>,
    /// A header of the response.
    header: Option<Box<(HeaderName, String)>>,
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
    /// Always `about:blank`; `code` identifies the kind of problem.
    #[serde(rename = "type")]
    #[schema(max_length = 200)]
    pub kind: String,
    /// Description of the code; the same for every occurrence.
    #[schema(max_length = 200)]
    pub title: String,
    /// HTTP status code of the response.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// Human-readable explanation of this occurrence.
    #[schema(max_length = 4000)]
    pub detail: String,
    /// Stable, machine-readable error code. New codes may be added.
    #[schema(value_type = ErrorCode)]
    pub code: String,
    /// Id of the request, as in the `X-Request-Id` header and in the logs.
    #[schema(max_length = 128)]
    pub request_id: String,
    /// Values that are wrong, with status 422, or taken, with status 409.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub errors: Vec<Violation>,
    /// Resources that stand in the way of the change, with codes such as `version_in_use`; 20 at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub blocked_by: Vec<BlockedBy>,
}

/// A resource that stands in the way of a change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "binding", "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f40", "name": "reception",
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20"
}))]
pub struct BlockedBy {
    /// Type of the resource.
    #[serde(rename = "type")]
    #[schema(value_type = BlockerType)]
    pub kind: &'static str,
    /// Id of the resource.
    pub id: Uuid,
    /// A name to show: of a binding its agent's, of an inbound mapping its number; null if it has none.
    #[schema(max_length = 200)]
    pub name: Option<String>,
    /// Id of the agent that it belongs to.
    pub agent_id: Option<AgentId>,
}

impl From<Blocker> for BlockedBy {
    fn from(blocker: Blocker) -> Self {
        let Blocker {
            kind,
            id,
            name,
            agent_id,
        } = blocker;
        Self {
            kind,
            id,
            name,
            agent_id,
        }
    }
}

impl ApiError {
    /// Creates an error with this code and detail.
    pub fn new(code: impl Into<Code>, detail: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            detail: detail.into(),
            violations: Vec::new(),
            blocked_by: Vec::new(),
            header: None,
        }
    }

    /// 405: the path does not support the method. `allow` lists the supported ones.
    pub fn method_not_allowed(allow: String) -> Self {
        let detail = format!("This path allows {allow}.");
        Self {
            header: Some(Box::new((header::ALLOW, allow))),
            ..Self::new(HttpCode::MethodNotAllowed, detail)
        }
    }

    /// 416: the range is outside the file of `size` bytes.
    pub fn range_not_satisfiable(size: u64) -> Self {
        let detail = format!("The file has {size} bytes.");
        Self {
            header: Some(Box::new((header::CONTENT_RANGE, format!("bytes */{size}")))),
            ..Self::new(HttpCode::RangeNotSatisfiable, detail)
        }
    }

    /// Returns the code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// 503: the request exceeded its time limit.
    pub fn timed_out(limit: std::time::Duration) -> Self {
        tracing::error!(?limit, "a request exceeded its time limit");
        let detail = "The request timed out. It is unknown whether a change took effect: check before you repeat it.";
        Self::new(service::Code::Unavailable, detail)
    }

    /// Converts a bare status of the framework to an error.
    pub fn of_status(status: StatusCode) -> Self {
        let code = match status.as_u16() {
            404 => return service::Error::not_found().into(),
            408 => service::Code::BodyTimeout.into(),
            413 => service::Code::BodyTooLarge.into(),
            415 => HttpCode::UnsupportedMediaType.into(),
            400..500 => service::Code::BadRequest.into(),
            503 => service::Code::Unavailable.into(),
            _ => service::Code::Internal.into(),
        };
        let code: Code = code;
        Self::new(code, code.title())
    }

    /// Returns the response, with the id of the request in the body.
    pub fn response(&self, request_id: &str) -> HttpResponse {
        let status = self.code.status();
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: self.code.title().to_owned(),
            status,
            detail: self.detail.clone(),
            code: self.code.name().to_owned(),
            request_id: request_id.to_owned(),
            errors: self.violations.clone(),
            blocked_by: self
                .blocked_by
                .iter()
                .cloned()
                .map(BlockedBy::from)
                .collect(),
        };
        let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap_or_default());
        if status == 401 {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"patchbay\""));
        }
        if status == 503 {
            response.insert_header((header::RETRY_AFTER, "1"));
        }
        if let Some(header) = &self.header {
            let (name, value) = &**header;
            response.insert_header((name, &**value));
        }
        response
            .content_type(PROBLEM_JSON)
            .body(serde_json::to_vec(&problem).unwrap_or_default())
    }
}

impl From<service::Error> for ApiError {
    fn from(error: service::Error) -> Self {
        let service::Error {
            code,
            detail,
            violations,
            blocked_by,
            retry_after,
        } = error;
        Self {
            code: code.into(),
            detail,
            violations,
            blocked_by,
            header: retry_after.map(|seconds| Box::new((header::RETRY_AFTER, seconds.to_string()))),
        }
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
        // The envelope replaces the body by one with the request id.
        self.response("")
    }
}
