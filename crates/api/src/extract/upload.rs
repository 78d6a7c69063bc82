//! A file as body: bare, or as a form of a browser. It is streamed on, never held.

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::CONTENT_TYPE};
use futures_util::{StreamExt as _, TryStreamExt as _};
use patchbay_domain::{Invalid, Metadata, TenantId, invalid::escape, text::Name};
use patchbay_service::{
    Code, Error, Result, Service,
    knowledge::{
        files::NewFile,
        upload::{Received, give_up, receive},
    },
};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::future::{Ready, ready};
use utoipa::ToSchema;

use crate::{
    error::ApiError,
    openapi::{Describe, Operation},
};

/// Bytes of a form's field other than the file, at most.
const FIELD: usize = 32 << 10;
/// Fields of a form at most.
const MOST_FIELDS: usize = 8;
/// A name for what has none.
const UNNAMED: &str = "file";

/// What is said of a file beside its bytes: in the query, or in fields of the form.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadQuery {
    /// Its name; by default that of the form, or `file`.
    #[schema(value_type = Option<Name>)]
    pub name: Option<String>,
    /// Data of your own, as a JSON object.
    #[schema(max_length = 16_384)]
    pub metadata: Option<String>,
    /// Make it searchable at once: `true` or `false`.
    #[schema(max_length = 5)]
    pub ingest: Option<String>,
}

/// The file.
pub struct Upload {
    request: HttpRequest,
    payload: Payload,
}

impl FromRequest for Upload {
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(Ok(Self {
            request: request.clone(),
            payload: payload.take(),
        }))
    }
}

impl Upload {
    /// Streams the file into the store. What was said of it comes with it.
    pub async fn receive(
        self,
        service: &Service,
        tenant: TenantId,
        mut said: UploadQuery,
    ) -> Result<(Received, NewFile)> {
        // What is known to be wrong is said before the bytes come.
        new_file(&said)?;
        let media = self.request.headers().get(CONTENT_TYPE);
        let media = media
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if !media.starts_with("multipart/") {
            let received = receive(service, tenant, self.payload).await?;
            return Ok((received, new_file(&said)?));
        }
        let form = Multipart::new(self.request.headers(), self.payload);
        let mut received = None;
        let outcome = read_form(service, tenant, form, &mut said, &mut received).await;
        let outcome = outcome.and_then(|()| new_file(&said));
        match (outcome, received) {
            (Ok(new), Some(received)) => Ok((received, new)),
            (Ok(_), None) => {
                let invalid = Invalid::new("missing_field", "a file is needed");
                Err(Error::invalid_at("/file", invalid))
            }
            (Err(error), received) => {
                if let Some(received) = received {
                    give_up(service, tenant, received.object).await;
                }
                Err(error)
            }
        }
    }
}

/// SHA-256 over all that makes one upload the same as another.
pub fn digest(received: &Received, new: &NewFile) -> [u8; 32] {
    let facts = json!([new.name, new.metadata, new.ingest]).to_string();
    let digest = Sha256::new_with_prefix(received.stored.sha256);
    digest.chain_update(facts).finalize().into()
}

async fn read_form(
    service: &Service,
    tenant: TenantId,
    mut form: Multipart,
    said: &mut UploadQuery,
    received: &mut Option<Received>,
) -> Result<()> {
    let mut count = 0;
    while let Some(mut field) = form.try_next().await.map_err(broken)? {
        count += 1;
        let name = field.name().unwrap_or_default().to_owned();
        match &*name {
            _ if count > MOST_FIELDS => return Err(unexpected(&name)),
            "file" if received.is_none() => {
                let known = field.content_disposition().and_then(|d| d.get_filename());
                if said.name.is_none() {
                    said.name = known.map(str::to_owned);
                }
                *received = Some(receive(service, tenant, &mut field).await?);
            }
            "name" => said.name = Some(text(field).await?),
            "metadata" => said.metadata = Some(text(field).await?),
            "ingest" => said.ingest = Some(text(field).await?),
            _ => return Err(unexpected(&name)),
        }
    }
    Ok(())
}

async fn text(mut field: Field) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.next().await {
        let chunk = chunk.map_err(broken)?;
        if bytes.len() + chunk.len() > FIELD {
            let detail = format!("A field has at most {FIELD} bytes.");
            return Err(Error::new(Code::BodyTooLarge, detail));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes)
        .map_err(|_| Error::new(Code::BadRequest, "A field of the form is not UTF-8."))
}

fn broken(error: MultipartError) -> Error {
    Error::new(
        Code::BadRequest,
        format!("The form cannot be read: {error}."),
    )
}

fn unexpected(name: &str) -> Error {
    let message = "`file`, once, `name`, `metadata` and `ingest` are the fields of the form";
    let invalid = Invalid::new("unknown_field", message);
    Error::invalid_at(&format!("/{}", escape(name)), invalid)
}

/// What was said, checked.
fn new_file(said: &UploadQuery) -> Result<NewFile> {
    let name = said.name.as_deref().unwrap_or(UNNAMED);
    // Some browsers send a path.
    let name = name.rsplit(['/', '\\']).next().unwrap_or(UNNAMED);
    let name = Name::new(name).map_err(|invalid| Error::invalid_at("/name", invalid))?;
    let wrong =
        |message: String| Error::invalid_at("/metadata", Invalid::new("invalid_value", message));
    let metadata = match &said.metadata {
        Some(text) => {
            let value: serde_json::Value =
                serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
            let checked = Metadata::try_from(value);
            checked.map_err(|invalid| Error::invalid_at("/metadata", invalid))?
        }
        None => Metadata::default(),
    };
    let ingest = match said.ingest.as_deref() {
        None => false,
        Some(text) => text.parse().map_err(|_| {
            let invalid = Invalid::new("invalid_value", "`true` or `false` is needed");
            Error::invalid_at("/ingest", invalid)
        })?,
    };
    Ok(NewFile {
        name: name.into_inner(),
        metadata,
        ingest,
    })
}

impl Describe for Upload {
    fn describe(operation: &mut Operation) {
        let file = json!({ "type": "string", "format": "binary", "description": "The bytes of the file." });
        let form = json!({
            "type": "object",
            "required": ["file"],
            "description": "The file with what is said of it.",
            "properties": {
                "file": file,
                "name": { "type": "string", "maxLength": 200, "example": "prices.pdf", "description": "Its name; that of the file by default." },
                "metadata": { "type": "string", "maxLength": 16_384, "example": "{\"year\": 2026}", "description": "Data of your own, as a JSON object." },
                "ingest": { "type": "string", "enum": ["true", "false"], "example": "true", "description": "Make it searchable at once." },
            },
        });
        operation.set(
            "requestBody",
            json!({ "required": true, "description": "The file, bare or as a form.", "content": {
                "application/octet-stream": { "schema": file },
                "multipart/form-data": { "schema": form },
            } }),
        );
        for code in [
            Code::BadRequest,
            Code::BodyTimeout,
            Code::BodyTooLarge,
            Code::ValidationFailed,
        ] {
            operation.error(code);
        }
    }
}
