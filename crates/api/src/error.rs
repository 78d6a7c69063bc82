//! The only place where an error becomes a status and a problem.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
};
use patchbay_domain::Violation;
use patchbay_service as service;
use serde::Serialize;
use utoipa::ToSchema;

use crate::code::{Code, HttpCode};

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

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
    pub fn new(code: impl Into<Code>, detail: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            detail: detail.into(),
            violations: Vec::new(),
            header: None,
        }
    }

    /// A method that the path does not have.
    pub fn method_not_allowed(allow: String) -> Self {
        let detail = format!("This path allows {allow}.");
        Self {
            header: Some((header::ALLOW, allow)),
            ..Self::new(HttpCode::MethodNotAllowed, detail)
        }
    }

    /// A range that lies outside of the file of `size` bytes.
    pub fn not_in_range(size: u64) -> Self {
        let detail = format!("The file has {size} bytes.");
        Self {
            header: Some((header::CONTENT_RANGE, format!("bytes */{size}"))),
            ..Self::new(HttpCode::RangeNotSatisfiable, detail)
        }
    }

    /// The code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// A request that took longer than it may.
    pub fn timed_out(limit: std::time::Duration) -> Self {
        tracing::error!(?limit, "a request took too long");
        let detail = "It took too long. Whether a change took effect is not known: look before you repeat it.";
        Self::new(service::Code::Unavailable, detail)
    }

    /// The error that stands for a bare status of the framework.
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

    /// The answer, with the id of the request in it.
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

impl From<service::Error> for ApiError {
    fn from(error: service::Error) -> Self {
        let service::Error {
            code,
            detail,
            violations,
            retry_after,
        } = error;
        Self {
            code: code.into(),
            detail,
            violations,
            header: retry_after.map(|seconds| (header::RETRY_AFTER, seconds.to_string())),
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
        // The envelope, which knows the request id, writes the final body.
        self.response("")
    }
}
