//! The bytes of a file.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::{StatusCode, header},
};
use patchbay_domain::{FileId, TenantId, api_key::hex, byte_range};
use patchbay_persistence::files;
use patchbay_service::{
    Error,
    knowledge::objects::{key, store},
};
use patchbay_storage::Download;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::{
    answer::Respond,
    code::HttpCode,
    error::ApiError,
    extract::{Caller, Path, scopes::FilesRead},
    openapi::{Describe, Operation},
};

/// A file on its way out.
pub struct Content {
    name: String,
    sha256: String,
    size: u64,
    /// The first byte and the number of bytes, where only some were asked for.
    range: Option<(u64, u64)>,
    /// None where the client has the file already.
    bytes: Option<Download>,
}

/// Which bytes are wanted, and which the client has.
pub struct Conditions {
    range: Option<String>,
    if_range: Option<String>,
    known: Option<String>,
}

impl FromRequest for Conditions {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let header = |name: header::HeaderName| {
            let value = request.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        ready(Ok(Self {
            range: header(header::RANGE),
            if_range: header(header::IF_RANGE),
            known: header(header::IF_NONE_MATCH),
        }))
    }
}

impl Describe for Conditions {
    fn describe(operation: &mut Operation) {
        for (name, description, example) in [
            (
                "Range",
                "One range of bytes. Anything else is answered with the whole file.",
                "bytes=0-1023",
            ),
            (
                "If-None-Match",
                "ETag of what you have: 304 where that is still the file.",
                "\"44136fa3\"",
            ),
        ] {
            operation.parameter(json!({
                "name": name, "in": "header", "required": false, "description": description,
                "schema": { "type": "string", "maxLength": 200 }, "example": example,
            }));
        }
    }
}

pub(super) async fn get(
    caller: Caller<FilesRead>,
    Path((tenant, id)): Path<(TenantId, FileId)>,
    conditions: Conditions,
) -> Result<Content, ApiError> {
    let mut tx = caller.read().await?;
    let found = files::find(&mut tx, id).await.map_err(Error::from)?;
    tx.finish();
    let (file, _) = found.ok_or_else(Error::not_found)?;
    let size = u64::try_from(file.size).map_err(Error::internal)?;
    let mut content = Content {
        name: file.name,
        sha256: hex(&file.sha256),
        size,
        range: None,
        bytes: None,
    };
    if !conditions.has(&content.etag()) {
        content.range = conditions.range(&content.etag(), size)?;
        let (from, length) = content.range.unwrap_or((0, size));
        let key = key(&caller.service, tenant, file.object_id);
        content.bytes = Some(
            store(&caller.service)?
                .download(&key, from, length)
                .await
                .map_err(Error::from)?,
        );
    }
    Ok(content)
}

impl Content {
    fn etag(&self) -> String {
        format!("\"{}\"", self.sha256)
    }
}

impl Conditions {
    /// Whether the client has it already.
    fn has(&self, etag: &str) -> bool {
        let known = self.known.as_deref().unwrap_or_default();
        known == "*" || known.contains(etag)
    }

    /// The range, where one is wanted and it is still the same file.
    fn range(&self, etag: &str, size: u64) -> Result<Option<(u64, u64)>, ApiError> {
        let is_current = self.if_range.as_deref().is_none_or(|seen| seen == etag);
        let header = self.range.as_deref().filter(|_| is_current);
        let Some(header) = header else {
            return Ok(None);
        };
        byte_range::parse(header, size).map_err(|_| ApiError::not_in_range(size))
    }
}

impl Respond for Content {
    async fn respond(self, _: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::build(match (&self.bytes, self.range) {
            (None, _) => StatusCode::NOT_MODIFIED,
            (Some(_), None) => StatusCode::OK,
            (Some(_), Some(_)) => StatusCode::PARTIAL_CONTENT,
        });
        response
            .insert_header((header::ETAG, self.etag()))
            .insert_header((header::ACCEPT_RANGES, "bytes"));
        let Some(bytes) = self.bytes else {
            return response.finish();
        };
        let (from, length) = self.range.unwrap_or((0, self.size));
        if self.range.is_some() {
            let range = format!("bytes {from}-{}/{}", from + length - 1, self.size);
            response.insert_header((header::CONTENT_RANGE, range));
        }
        // Never shown as a page, whatever it is.
        let name = utf8_percent_encode(&self.name, NON_ALPHANUMERIC);
        let disposition = format!("attachment; filename*=UTF-8''{name}");
        response
            .insert_header((header::CONTENT_DISPOSITION, disposition))
            .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
            // Compressed, a range would be of something else.
            .insert_header((header::CONTENT_ENCODING, "identity"))
            .no_chunking(length)
            .streaming(bytes)
    }
}

impl Describe for Content {
    fn describe(operation: &mut Operation) {
        let headers = ["ETag", "Accept-Ranges", "Content-Disposition"];
        let partial = [
            "ETag",
            "Accept-Ranges",
            "Content-Disposition",
            "Content-Range",
        ];
        operation.answer(200, "The whole file.", &headers, None);
        operation.answer(206, "The range that was asked for.", &partial, None);
        operation.answer(
            304,
            "It is what you have.",
            &["ETag", "Accept-Ranges"],
            None,
        );
        operation.error(HttpCode::RangeNotSatisfiable);
        for status in [200, 206] {
            operation.binary(status);
        }
    }
}
