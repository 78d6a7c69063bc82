//! JSON bodies: objects with limits of size, depth and time, without unknown fields or NUL.

use std::time::Duration;

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest,
    dev::Payload,
    http::header::CONTENT_TYPE,
    web::{self, BytesMut},
};
use futures_util::{StreamExt as _, future::LocalBoxFuture};
use patchbay_domain::schema::ComposeSchema;
use patchbay_domain::{
    Invalid,
    invalid::{Place, escape},
};
use patchbay_service::{Code, Error, Result, compute::MAX_INLINE_BYTES};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use utoipa::{
    ToSchema,
    openapi::{RefOr, schema::Schema},
};

use super::{
    idempotency::{BodyDigest, IDEMPOTENCY_KEY},
    request::{app_state, path_tenant},
    validation::{RequestSchema, RequestSchemas},
};
use crate::{
    app::App,
    code::HttpCode,
    error::ApiError,
    openapi::{Describe, Operation},
};

const MAX_DEPTH: usize = 32;
const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// A JSON object in the body, valid under the schema of `T`.
pub struct Json<T>(pub T);

/// A JSON object in an optional body.
pub struct OptionalJson<T>(pub T);

/// A field of a merge patch: absent, or a new value. Null clears a `Patch<Option<T>>`.
#[derive(Clone, Debug, Default)]
pub enum Patch<T> {
    /// Unchanged.
    #[default]
    Absent,
    /// The new value.
    To(T),
}

impl<T> Patch<T> {
    /// Assigns the new value, if there is one, to `target`.
    pub fn apply<U>(self, target: &mut U, convert: impl FnOnce(T) -> U) {
        if let Self::To(value) = self {
            *target = convert(value);
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::To)
    }
}

impl<T: ComposeSchema> ComposeSchema for Patch<T> {
    fn compose(mut generics: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        if generics.is_empty() {
            T::compose(generics)
        } else {
            generics.remove(0)
        }
    }
}

impl<T: ToSchema + ComposeSchema> ToSchema for Patch<T> {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}

impl<T: DeserializeOwned + ToSchema + Send + 'static> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let body = read(&request, payload).await?;
            decode(&request, body).await.map(Self)
        })
    }
}

impl<T: DeserializeOwned + ToSchema + Default + Send + 'static> FromRequest for OptionalJson<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let body = read(&request, payload).await?;
            if body.is_empty() {
                store_digest(&request, needs_digest(&request).then(|| digest(&body)));
                return Ok(Self(T::default()));
            }
            decode(&request, body).await.map(Self)
        })
    }
}

/// Parses a body and stores its digest. A large body is parsed outside the threads that serve requests.
async fn decode<T: DeserializeOwned + ToSchema + Send + 'static>(
    request: &HttpRequest,
    body: BytesMut,
) -> std::result::Result<T, ApiError> {
    check_content_type(request)?;
    let schema = RequestSchemas::of_body::<T>(request)?;
    if body.len() <= MAX_INLINE_BYTES {
        store_digest(request, needs_digest(request).then(|| digest(&body)));
        return parse(&body, &schema);
    }
    let tenant = path_tenant(request).unwrap_or_default();
    let needs_digest = needs_digest(request);
    let (parsed, digest) = app_state(request)?
        .service
        .compute
        .run(tenant, move |_| {
            let digest = needs_digest.then(|| digest(&body));
            (parse(&body, &schema), digest)
        })
        .await?;
    store_digest(request, digest);
    parsed
}

/// Whether [`super::IdempotencyKey`] will need the digest of the body.
fn needs_digest(request: &HttpRequest) -> bool {
    request.headers().contains_key(IDEMPOTENCY_KEY)
}

fn digest(body: &[u8]) -> BodyDigest {
    BodyDigest(Sha256::digest(body).into())
}

/// Stores the digest for [`super::IdempotencyKey`].
fn store_digest(request: &HttpRequest, digest: Option<BodyDigest>) {
    if let Some(digest) = digest {
        request.extensions_mut().insert(digest);
    }
}

/// Reads the whole body, within the limits of size and time.
pub async fn read(request: &HttpRequest, payload: Payload) -> Result<BytesMut> {
    let (limit, timeout) = request
        .app_data::<web::Data<App>>()
        .map_or((0, Duration::ZERO), |app| {
            (app.settings.body_limit, app.settings.body_timeout)
        });
    let too_large = || {
        Error::new(
            Code::BodyTooLarge,
            format!("At most {limit} bytes are allowed."),
        )
    };
    let collect = async {
        let mut payload = payload;
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| {
                tracing::debug!(%error, "a body cannot be read");
                let detail = "The body ended early, or its encoding is malformed.";
                Error::new(Code::BadRequest, detail)
            })?;
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    };
    actix_web::rt::time::timeout(timeout, collect)
        .await
        .unwrap_or_else(|_| {
            let detail = format!("The body did not arrive within {timeout:?}.");
            Err(Error::new(Code::BodyTimeout, detail))
        })
}

fn check_content_type(request: &HttpRequest) -> std::result::Result<(), ApiError> {
    let media = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim());
    let is_patch = request.method() == actix_web::http::Method::PATCH;
    match media {
        Some(media) if media.eq_ignore_ascii_case(JSON) => Ok(()),
        Some(media) if is_patch && media.eq_ignore_ascii_case(MERGE_PATCH) => Ok(()),
        _ => Err(ApiError::new(
            HttpCode::UnsupportedMediaType,
            "Send the header `Content-Type: application/json`.",
        )),
    }
}

fn parse<T: DeserializeOwned>(
    body: &[u8],
    schema: &RequestSchema,
) -> std::result::Result<T, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    if !value.is_object() {
        let invalid = Invalid::new("not_an_object", "the body must be a JSON object");
        return Err(Error::invalid_at("", invalid).into());
    }
    check_value(&value, &mut Place::default(), 1)?;
    let violations = schema.violations(&value);
    if !violations.is_empty() {
        return Err(Error::invalid(violations).into());
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let pointer = pointer(error.path());
        Error::invalid_at(&pointer, Invalid::parse(&error.into_inner().to_string())).into()
    })
}

/// The place of the first syntax error in a text, as the end of a sentence; the parser's own words are about its code.
pub fn syntax_error(error: &serde_json::Error) -> String {
    match error.is_eof() {
        true => "ends before the JSON does".to_owned(),
        false => format!(
            "is not JSON at line {}, column {}",
            error.line(),
            error.column()
        ),
    }
}

fn malformed(error: &serde_json::Error) -> ApiError {
    let detail = format!("The body {}.", syntax_error(error));
    ApiError::new(HttpCode::InvalidJson, detail)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", escape(key))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// Refuses NUL, which PostgreSQL cannot store, and nesting deeper than the limit.
fn check_value(value: &Value, at: &mut Place, depth: usize) -> Result<()> {
    let refuse = |at: &Place, code: &str, message: &str| {
        Err(Error::invalid_at(at.as_ref(), Invalid::new(code, message)))
    };
    if depth > MAX_DEPTH {
        return refuse(at, "too_deep", "at most 32 levels are allowed");
    }
    match value {
        Value::String(text) if text.contains('\0') => {
            refuse(at, "control_character", "NUL is not allowed")
        }
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items
                .try_for_each(|(index, item)| at.item(index, |at| check_value(item, at, depth + 1)))
        }
        Value::Object(fields) => fields.iter().try_for_each(|(name, item)| {
            if name.contains('\0') {
                return refuse(at, "control_character", "NUL is not allowed");
            }
            at.field(name, |at| check_value(item, at, depth + 1))
        }),
        _ => Ok(()),
    }
}

fn describe_errors(operation: &mut Operation) {
    operation.error(HttpCode::InvalidJson);
    operation.error(Code::BodyTimeout);
    operation.error(Code::BodyTooLarge);
    operation.error(HttpCode::UnsupportedMediaType);
    operation.error(Code::ValidationFailed);
}

impl<T: ToSchema> Describe for Json<T> {
    fn describe(operation: &mut Operation) {
        // Bodies of PATCH are recognised by their type's name; all are merge patches.
        let media: &[&str] = if T::name().starts_with("Patch") {
            &[JSON, MERGE_PATCH]
        } else {
            &[JSON]
        };
        operation.body::<T>(media);
        describe_errors(operation);
    }
}

impl<T: ToSchema> Describe for OptionalJson<T> {
    fn describe(operation: &mut Operation) {
        operation.body::<T>(&[JSON]);
        operation.optional_body();
        describe_errors(operation);
    }
}
