//! Download of file contents.

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
    knowledge::objects::{object_key, require_store},
};
use patchbay_storage::Download;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::{
    code::HttpCode,
    error::ApiError,
    etag::EntityTags,
    extract::{Caller, Path, scopes::FilesRead},
    openapi::{Describe, Operation},
    response::Respond,
};

/// Response of a download.
pub struct Content {
    name: String,
    sha256: String,
    size: u64,
    /// Offset and length of the requested range; none for the whole file.
    range: Option<(u64, u64)>,
    /// None if the client already has the file, which is answered with 304.
    bytes: Option<Download>,
}

/// The range and conditional headers of a download request.
pub struct Conditions {
    range: Option<String>,
    if_range: Option<String>,
    if_none_match: Option<EntityTags>,
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
            if_none_match: EntityTags::of(request.headers(), header::IF_NONE_MATCH),
        }))
    }
}

impl Describe for Conditions {
    fn describe(operation: &mut Operation) {
        operation.parameter(json!({
            "name": "Range", "in": "header", "required": false,
            "description": "Byte range to download. Only a single range is supported; for any other value, the whole file is returned.",
            "schema": { "type": "string", "maxLength": 200 }, "example": "bytes=0-1023",
        }));
        operation.if_none_match("ETag of the file that the client has.");
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
    if !conditions.is_not_modified(&content.etag()) {
        content.range = conditions.range(&content.etag(), size)?;
        let (from, length) = content.range.unwrap_or((0, size));
        let key = object_key(&caller.service, tenant, file.object_id);
        content.bytes = Some(
            require_store(&caller.service)?
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
    /// Returns whether `If-None-Match` matches, so the client already has the file.
    fn is_not_modified(&self, etag: &str) -> bool {
        let known = self.if_none_match.as_ref();
        known.is_some_and(|known| known.matches(etag))
    }

    /// Parses the requested range, if there is one. It is ignored if `If-Range` names another version of the file.
    fn range(&self, etag: &str, size: u64) -> Result<Option<(u64, u64)>, ApiError> {
        let is_current = self
            .if_range
            .as_deref()
            .is_none_or(|if_range| if_range == etag);
        let header = self.range.as_deref().filter(|_| is_current);
        let Some(header) = header else {
            return Ok(None);
        };
        byte_range::parse(header, size).map_err(|_| ApiError::range_not_satisfiable(size))
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
        // Browsers must save the file and never render it, since tenants upload arbitrary content.
        let name = utf8_percent_encode(&self.name, NON_ALPHANUMERIC);
        let disposition = format!("attachment; filename*=UTF-8''{name}");
        response
            .insert_header((header::CONTENT_DISPOSITION, disposition))
            .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
            // Compression would make ranges refer to the compressed bytes.
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
        operation.response(200, "The whole file.", &headers, None);
        operation.response(206, "The requested range.", &partial, None);
        operation.response(
            304,
            "The file is unchanged.",
            &["ETag", "Accept-Ranges"],
            None,
        );
        operation.error(HttpCode::RangeNotSatisfiable);
        for status in [200, 206] {
            operation.binary(status);
        }
    }
}
