//! File uploads, as raw bytes or as a multipart form. They are streamed to the store and never buffered.

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::CONTENT_TYPE};
use futures_util::{StreamExt as _, TryStreamExt as _};
use patchbay_domain::{Invalid, Metadata, TenantId, invalid::escape, text::Name};
use patchbay_service::{
    Code, Error, Result, Service,
    knowledge::{
        files::NewFile,
        upload::{UploadedObject, abandon_upload, receive},
    },
};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::future::{Ready, ready};
use utoipa::ToSchema;

use super::{flag::flag, json::syntax_error};
use crate::{
    code::HttpCode,
    error::ApiError,
    openapi::{Describe, Operation},
};

/// Maximum bytes of a form field other than the file.
const MAX_FIELD_BYTES: usize = 32 << 10;
/// Maximum number of form fields.
const MAX_FIELDS: usize = 8;
/// Name of a file without one.
const DEFAULT_NAME: &str = "file";

/// Properties of an uploaded file, in the query or in form fields.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadQuery {
    /// Name of the file; by default the file name in the form, or `file`.
    #[schema(value_type = Option<Name>)]
    pub name: Option<String>,
    /// Custom metadata, as a JSON object.
    #[schema(max_length = 16_384)]
    pub metadata: Option<String>,
    /// Whether to ingest the file immediately; false by default.
    #[serde(default, deserialize_with = "flag")]
    pub ingest: Option<bool>,
}

/// The body of an upload.
pub struct Upload {
    request: HttpRequest,
    payload: Payload,
}

impl FromRequest for Upload {
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        // Clients that cannot send bytes as they are send JSON instead, such as `{}` for a `Blob`.
        if media_type(request) == "application/json" {
            let detail = "Send a file as application/octet-stream or in a form (multipart/form-data), also one that contains JSON.";
            return ready(Err(ApiError::new(HttpCode::UnsupportedMediaType, detail)));
        }
        ready(Ok(Self {
            request: request.clone(),
            payload: payload.take(),
        }))
    }
}

impl Upload {
    /// Streams the file to the store; also returns its properties.
    pub async fn receive(
        self,
        service: &Service,
        tenant: TenantId,
        mut properties: UploadQuery,
    ) -> Result<(UploadedObject, NewFile)> {
        // Refuse invalid properties before the upload.
        new_file(&properties)?;
        if media_type(&self.request) != "multipart/form-data" {
            let received = receive(service, tenant, self.payload).await?;
            return Ok((received, new_file(&properties)?));
        }
        let form = Multipart::new(self.request.headers(), self.payload);
        let mut received = None;
        let outcome = read_form(service, tenant, form, &mut properties, &mut received).await;
        let outcome = outcome.and_then(|()| new_file(&properties));
        match (outcome, received) {
            (Ok(new), Some(received)) => Ok((received, new)),
            (Ok(_), None) => {
                let invalid = Invalid::new("missing_field", "a file is required");
                Err(Error::invalid_at("/file", invalid))
            }
            (Err(error), received) => {
                if let Some(received) = received {
                    abandon_upload(service, tenant, received.object).await;
                }
                Err(error)
            }
        }
    }
}

/// The media type of the body, without its parameters and in lower case.
fn media_type(request: &HttpRequest) -> String {
    let media = request.headers().get(CONTENT_TYPE);
    let media = media
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

/// Returns the digest by which uploads with the same idempotency key are compared: SHA-256 of content and properties.
pub fn digest(received: &UploadedObject, new: &NewFile) -> [u8; 32] {
    let properties = json!([new.name, new.metadata, new.ingest]).to_string();
    let digest = Sha256::new_with_prefix(received.stored.sha256);
    digest.chain_update(properties).finalize().into()
}

async fn read_form(
    service: &Service,
    tenant: TenantId,
    mut form: Multipart,
    properties: &mut UploadQuery,
    received: &mut Option<UploadedObject>,
) -> Result<()> {
    let mut count = 0;
    while let Some(mut field) = form.try_next().await.map_err(malformed)? {
        count += 1;
        let name = field.name().unwrap_or_default().to_owned();
        match &*name {
            _ if count > MAX_FIELDS => return Err(unexpected_field(&name)),
            "file" if received.is_none() => {
                let file_name = field.content_disposition().and_then(|d| d.get_filename());
                if properties.name.is_none() {
                    properties.name = file_name.map(str::to_owned);
                }
                *received = Some(receive(service, tenant, &mut field).await?);
            }
            "name" => properties.name = Some(read_text(field).await?),
            "metadata" => properties.metadata = Some(read_text(field).await?),
            "ingest" => properties.ingest = Some(read_flag(field).await?),
            _ => return Err(unexpected_field(&name)),
        }
    }
    Ok(())
}

async fn read_text(mut field: Field) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.next().await {
        let chunk = chunk.map_err(malformed)?;
        if bytes.len() + chunk.len() > MAX_FIELD_BYTES {
            let detail = format!("A form field has at most {MAX_FIELD_BYTES} bytes.");
            return Err(Error::new(Code::BodyTooLarge, detail));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Error::new(Code::BadRequest, "A form field is not UTF-8."))
}

async fn read_flag(field: Field) -> Result<bool> {
    read_text(field).await?.parse().map_err(|_| {
        let invalid = Invalid::new("invalid_value", "must be `true` or `false`");
        Error::invalid_at("/ingest", invalid)
    })
}

fn malformed(error: MultipartError) -> Error {
    tracing::debug!(%error, "a form cannot be read");
    let detail = match error {
        MultipartError::ContentTypeParse
        | MultipartError::ContentTypeIncompatible
        | MultipartError::BoundaryMissing => {
            "The header Content-Type must be `multipart/form-data` with a `boundary`."
        }
        MultipartError::ContentDispositionMissing
        | MultipartError::ContentDispositionNameMissing => {
            "Every part of the form needs a header Content-Disposition with a `name`."
        }
        MultipartError::Incomplete | MultipartError::Payload(_) => "The form ended early.",
        _ => "The form is malformed.",
    };
    Error::new(Code::BadRequest, detail)
}

fn unexpected_field(name: &str) -> Error {
    let message = "the form fields are `file`, at most once, `name`, `metadata` and `ingest`";
    let invalid = Invalid::new("unknown_field", message);
    Error::invalid_at(&format!("/{}", escape(name)), invalid)
}

/// Validates the properties.
fn new_file(properties: &UploadQuery) -> Result<NewFile> {
    let name = properties.name.as_deref().unwrap_or(DEFAULT_NAME);
    // Some browsers send a path.
    let name = name.rsplit(['/', '\\']).next().unwrap_or(DEFAULT_NAME);
    let name = Name::new(name).map_err(|invalid| Error::invalid_at("/name", invalid))?;
    let not_json = |error: &serde_json::Error| {
        let message = format!("the text {}", syntax_error(error));
        Error::invalid_at("/metadata", Invalid::new("not_json", message))
    };
    let metadata = match &properties.metadata {
        Some(text) => {
            let value: serde_json::Value =
                serde_json::from_str(text).map_err(|error| not_json(&error))?;
            let checked = Metadata::try_from(value);
            checked.map_err(|invalid| Error::invalid_at("/metadata", invalid))?
        }
        None => Metadata::default(),
    };
    Ok(NewFile {
        name: name.into_inner(),
        metadata,
        ingest: properties.ingest.unwrap_or(false),
    })
}

impl Describe for Upload {
    fn describe(operation: &mut Operation) {
        let file =
            json!({ "type": "string", "format": "binary", "description": "Content of the file." });
        let form = json!({
            "type": "object",
            "required": ["file"],
            "description": "The file and its properties.",
            "properties": {
                "file": file,
                "name": { "type": "string", "maxLength": 200, "example": "prices.pdf", "description": "Name of the file; by default the file name in the form, or `file`." },
                "metadata": { "type": "string", "maxLength": 16_384, "example": "{\"year\": 2026}", "description": "Custom metadata, as a JSON object." },
                "ingest": { "type": "boolean", "example": true, "description": "Whether to ingest the file immediately; false by default." },
            },
        });
        let form = operation.component("UploadFileForm", form);
        // Clients are generated for one media type; what curl sends is described in words.
        operation.set(
            "requestBody",
            json!({
                "required": true,
                "description": "The file and its properties as a form. The bytes alone are accepted too, with any media type but \
                                `application/json`; their properties are then in the query.",
                "content": { "multipart/form-data": { "schema": form } },
            }),
        );
        for code in [
            Code::BadRequest,
            Code::BodyTimeout,
            Code::BodyTooLarge,
            Code::ValidationFailed,
        ] {
            operation.error(code);
        }
        operation.error(HttpCode::UnsupportedMediaType);
    }
}
