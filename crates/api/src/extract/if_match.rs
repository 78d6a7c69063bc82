//! `If-Match`: change only what was seen.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::IF_MATCH};
use patchbay_service::{Code, Error, Result};
use serde_json::json;

use crate::{
    error::ApiError,
    openapi::{Describe, Operation},
};

/// The revisions that the caller would change; without the header, any.
pub struct IfMatch(Option<Vec<String>>);

impl IfMatch {
    /// Fails with 412 where the caller would change something, and there is nothing yet.
    pub fn check_absent(&self) -> Result<()> {
        match &self.0 {
            Some(_) => Err(Error::new(
                Code::PreconditionFailed,
                "There is no revision yet. Leave the header out to create it.",
            )),
            None => Ok(()),
        }
    }

    /// Fails with 412 unless `revision` is among them.
    pub fn check(&self, revision: i64) -> Result<()> {
        let tag = etag(revision);
        match &self.0 {
            Some(tags) if !tags.iter().any(|given| *given == tag || given == "*") => {
                let detail = format!("The revision is {revision} now. Read it again.");
                Err(Error::new(Code::PreconditionFailed, detail))
            }
            _ => Ok(()),
        }
    }
}

/// The entity tag of a revision.
pub fn etag(revision: i64) -> String {
    format!("\"{revision}\"")
}

impl FromRequest for IfMatch {
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut headers = request.headers().get_all(IF_MATCH).peekable();
        let tags = headers.peek().is_some().then(|| {
            headers
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .map(|tag| tag.trim().to_owned())
                .collect()
        });
        ready(Ok(Self(tags)))
    }
}

impl Describe for IfMatch {
    fn describe(operation: &mut Operation) {
        operation.parameter(json!({
            "name": "If-Match",
            "in": "header",
            "required": false,
            "description": "ETag of the revision that the change is meant for, or `*` for any; without it, the last write wins.",
            "schema": { "type": "string", "maxLength": 200 },
            "example": "\"1\"",
        }));
        operation.error(Code::PreconditionFailed);
    }
}
