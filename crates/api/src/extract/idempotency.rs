//! `Idempotency-Key`: makes a request safe to repeat.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest, dev::Payload, http::header::HeaderName,
};
use patchbay_persistence::idempotency::Claim;
use patchbay_service::{Actor, Code, Error};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    code::HttpCode,
    error::ApiError,
    openapi::{Describe, Operation},
    routing::Match,
};

/// Name of the header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MAX_LENGTH: usize = 255;
/// Characters that are percent-encoded in a path: all but the unreserved ones.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// SHA-256 of the body, which the body's extractor adds to the request's extensions.
pub struct BodyDigest(pub [u8; 32]);

/// The idempotency key of a request, if it has one. It is the last argument of a handler, because the digest of
/// the body is part of the fingerprint.
pub struct IdempotencyKey(Option<KeyedRequest>);

struct KeyedRequest {
    key: String,
    operation: String,
    path: String,
    fingerprint: Vec<u8>,
}

impl IdempotencyKey {
    /// Sets the fingerprint for a body whose digest is available only after streaming.
    pub fn with_body_digest(mut self, digest: &[u8; 32]) -> Self {
        if let Some(keyed) = &mut self.0 {
            let fingerprint = Sha256::new_with_prefix(&keyed.path).chain_update(digest);
            keyed.fingerprint = fingerprint.finalize().to_vec();
        }
        self
    }

    /// Returns the claim of the key for this actor.
    pub fn claim(&self, actor: &Actor) -> Option<Claim> {
        self.0.as_ref().map(|keyed| Claim {
            caller: actor.id(),
            operation: keyed.operation.clone(),
            key: keyed.key.clone(),
            fingerprint: keyed.fingerprint.clone(),
            path: keyed.path.clone(),
        })
    }
}

impl FromRequest for IdempotencyKey {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request).map(Self))
    }
}

fn read(request: &HttpRequest) -> Result<Option<KeyedRequest>, ApiError> {
    let mut headers = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(key) = headers.next() else {
        return Ok(None);
    };
    let key = key.to_str().unwrap_or_default();
    let visible = key.chars().all(|c| c.is_ascii_graphic());
    if headers.next().is_some() || !(1..=MAX_LENGTH).contains(&key.len()) || !visible {
        let detail = "Send one Idempotency-Key of 1 to 255 visible ASCII characters.";
        return Err(ApiError::new(HttpCode::InvalidIdempotencyKey, detail));
    }
    let found = Match::of(request).ok_or_else(Error::not_found)?;
    let path = canonical_path(&found);
    let mut fingerprint = Sha256::new_with_prefix(&path);
    if let Some(BodyDigest(digest)) = request.extensions().get() {
        fingerprint.update(digest);
    }
    Ok(Some(KeyedRequest {
        key: key.to_owned(),
        operation: format!("{} {}", request.method(), found.pattern()),
        path,
        fingerprint: fingerprint.finalize().to_vec(),
    }))
}

/// The route pattern with the parsed ids. All spellings of an id (in capitals, without dashes, percent-encoded)
/// result in the same path, so they count as the same request, and its stored response is erased with the
/// resource.
fn canonical_path(found: &Match) -> String {
    let segment = |segment: &str| {
        let name = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
        let Some(name) = name else {
            return segment.to_owned();
        };
        let value = found.value(name).unwrap_or_default();
        let id = value.parse::<Uuid>().ok().filter(|_| name.ends_with("_id"));
        let plain = || utf8_percent_encode(value, ENCODED).to_string();
        id.map_or_else(plain, |id| id.to_string())
    };
    let segments: Vec<_> = found.pattern().split('/').map(segment).collect();
    segments.join("/")
}

impl Describe for IdempotencyKey {
    fn describe(operation: &mut Operation) {
        operation.parameter(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": "Makes the request safe to repeat for 24 hours: it takes effect once, and a repetition returns the first response again, without any secret in it. Must be unique for the API key and the operation, such as a UUID.",
            "schema": { "type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "pattern": "^[!-~]+$" },
            "example": "6f0c1a52-5a0e-4ad6-9d0c-6c8f4c1f7f10",
        }));
        operation.error(HttpCode::InvalidIdempotencyKey);
        operation.error(Code::IdempotencyKeyReused);
        operation.error(Code::IdempotencyInFlight);
        operation.error(Code::Erased);
    }
}
