//! `If-Match`: conditional changes.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::IF_MATCH};
use patchbay_service::{Code, Error, Result};
use serde_json::json;

use crate::{
    error::ApiError,
    etag::{EntityTags, etag},
    openapi::{Describe, Operation},
};

/// The revisions that the change applies to; without the header, any.
pub struct IfMatch(Option<EntityTags>);

impl IfMatch {
    /// Fails with 412 if the request has the header; for resources that do not exist yet.
    pub fn check_absent(&self) -> Result<()> {
        match &self.0 {
            Some(_) => Err(Error::new(
                Code::PreconditionFailed,
                "The resource does not exist. Omit the If-Match header to create it.",
            )),
            None => Ok(()),
        }
    }

    /// Fails with 412 unless `revision` is one of them.
    pub fn check(&self, revision: i64) -> Result<()> {
        match &self.0 {
            Some(tags) if !tags.matches(&etag(revision)) => {
                let detail = format!("The current revision is {revision}. Get the resource again.");
                Err(Error::new(Code::PreconditionFailed, detail))
            }
            _ => Ok(()),
        }
    }
}

impl FromRequest for IfMatch {
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(EntityTags::of(request.headers(), IF_MATCH))))
    }
}

impl Describe for IfMatch {
    fn describe(operation: &mut Operation) {
        operation.parameter(json!({
            "name": "If-Match",
            "in": "header",
            "required": false,
            "description": "ETag of the revision to change, or `*` for any; without it, the last write wins.",
            "schema": { "type": "string", "maxLength": 200 },
            "example": "\"1\"",
        }));
        operation.error(Code::PreconditionFailed);
    }
}
