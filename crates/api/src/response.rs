//! Responses of handlers: each type sets its status and headers, and describes itself in the OpenAPI document.

use std::io::{self, Write};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode, header},
};
use patchbay_domain::Cursor;
use patchbay_persistence::{Rows, Total, idempotency::StoredResponse};
use patchbay_service::{Error, Result};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    error::ApiError,
    etag::{EntityTags, etag},
    extract::{
        CURSOR,
        request::{app_state, path_tenant},
    },
    openapi::{Describe, Operation, component_name},
};

/// Largest page in bytes that is serialised on the thread that serves the request, which takes a fraction of a
/// millisecond.
const MAX_INLINE_PAGE: usize = 131_072;

/// Usual size in bytes of an item of a page. A buffer that grows copies what it has.
const ITEM: usize = 640;

/// The body of a response: it has a schema and, if it can change, a revision.
pub trait Resource: Serialize + ToSchema {
    /// The top-level field that is returned only once and never stored.
    const SECRET: Option<&'static str> = None;
    /// Whether it has a revision.
    const VERSIONED: bool = false;
    /// The revision; it becomes the ETag.
    fn revision(&self) -> Option<i64> {
        None
    }
}

/// 200 with one resource.
pub struct Entity<T>(pub T);

/// 201 with the resource and its path in `Location`.
pub struct Created<T> {
    /// Path of the resource.
    pub location: String,
    /// The resource.
    pub value: T,
}

/// 201 if the resource is new, 200 if it replaced one.
pub enum Put<T> {
    /// The resource is new.
    Created(Created<T>),
    /// The resource replaced one.
    Replaced(T),
}

/// 200, or 202 if LiveKit has not confirmed yet.
pub struct OkOrAccepted<T> {
    /// The current state of the resource.
    pub value: T,
    /// Whether LiveKit has confirmed.
    pub done: bool,
}

/// 204 without a body.
pub struct Deleted;

/// 200 with one page of a list.
#[derive(Serialize)]
pub struct Page<T> {
    /// The items, newest first.
    data: Vec<T>,
    /// Cursor of the next page; null on the last page.
    next_cursor: Option<String>,
    /// Number of items on all pages, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<PageTotal>,
}

/// Number of items on all pages of a list.
#[derive(Serialize)]
struct PageTotal {
    value: i64,
    exact: bool,
}

impl From<Total> for PageTotal {
    fn from(Total { value, exact }: Total) -> Self {
        Self { value, exact }
    }
}

impl<T> Page<T> {
    /// Converts rows to a page.
    pub fn new<R>(rows: Rows<R>, id: impl Fn(&R) -> Uuid, map: impl FnMut(R) -> T) -> Self {
        let last = rows.rows.last().filter(|_| rows.more);
        let next_cursor = last.map(|row| Cursor::after(id(row)).to_string());
        Self {
            data: rows.rows.into_iter().map(map).collect(),
            next_cursor,
            total: rows.total.map(PageTotal::from),
        }
    }

    /// Converts rows that may be unreadable to a page.
    pub fn try_new<R, E>(
        rows: Rows<R>,
        id: impl Fn(&R) -> Uuid,
        map: impl FnMut(R) -> std::result::Result<T, E>,
    ) -> std::result::Result<Self, E> {
        let page = Page::new(rows, id, map);
        let data = page
            .data
            .into_iter()
            .collect::<std::result::Result<_, _>>()?;
        Ok(Self {
            data,
            next_cursor: page.next_cursor,
            total: page.total,
        })
    }
}

/// The parts of a response that are stored for its idempotency key and sent again.
pub struct ResponseParts {
    /// HTTP status.
    pub status: u16,
    /// Path of the created resource.
    pub location: Option<String>,
    /// Entity tag.
    pub etag: Option<String>,
    /// JSON body.
    pub body: String,
}

impl ResponseParts {
    fn of(status: u16, location: Option<String>, value: &impl Resource) -> Result<Self> {
        Ok(Self {
            status,
            location,
            etag: value.revision().map(etag),
            body: serde_json::to_string(value).map_err(Error::internal)?,
        })
    }

    /// Converts a reply to the form that is stored for its idempotency key, without its secret.
    pub fn to_stored<R: Reply>(reply: &R) -> Result<StoredResponse> {
        let parts = reply.parts()?;
        Ok(StoredResponse {
            status: Some(i16::try_from(parts.status).map_err(Error::internal)?),
            location: parts.location,
            etag: parts.etag,
            body: Some(redact_secret::<R::Resource>(parts.body)?),
            settles_at: None,
        })
    }

    /// Converts the parts to a response.
    pub fn respond(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        let mut response = HttpResponse::build(status);
        if let Some(location) = self.location {
            response.insert_header((header::LOCATION, location));
        }
        if let Some(etag) = self.etag {
            response.insert_header((header::ETAG, etag));
        }
        response
            .content_type(header::ContentType::json())
            .body(self.body)
    }
}

/// Replaces the secret in a body by null.
fn redact_secret<T: Resource>(body: String) -> Result<String> {
    let Some(field) = T::SECRET else {
        return Ok(body);
    };
    let mut value: Value = serde_json::from_str(&body).map_err(Error::internal)?;
    value[field] = Value::Null;
    Ok(value.to_string())
}

impl TryFrom<StoredResponse> for ResponseParts {
    type Error = Error;
    fn try_from(stored: StoredResponse) -> Result<Self> {
        let incomplete = || Error::internal("a stored response without its status or body");
        let status = stored.status.ok_or_else(incomplete)?;
        Ok(Self {
            status: u16::try_from(status).map_err(Error::internal)?,
            location: stored.location,
            etag: stored.etag,
            body: stored.body.ok_or_else(incomplete)?,
        })
    }
}

/// A response with a resource as its body.
pub trait Reply: Describe {
    /// The body.
    type Resource: Resource;
    /// Returns status, headers and body.
    fn parts(&self) -> Result<ResponseParts>;
}

impl<T: Resource> Reply for Entity<T> {
    type Resource = T;
    fn parts(&self) -> Result<ResponseParts> {
        ResponseParts::of(200, None, &self.0)
    }
}

impl<T: Resource> Reply for Created<T> {
    type Resource = T;
    fn parts(&self) -> Result<ResponseParts> {
        ResponseParts::of(201, Some(self.location.clone()), &self.value)
    }
}

impl<T: Resource> Reply for OkOrAccepted<T> {
    type Resource = T;
    fn parts(&self) -> Result<ResponseParts> {
        ResponseParts::of(if self.done { 200 } else { 202 }, None, &self.value)
    }
}

/// Converts the return value of a handler to a response.
pub trait Respond {
    /// Returns the response to this request.
    fn respond(self, request: &HttpRequest) -> impl Future<Output = HttpResponse>;
}

impl<T: Serialize + Send + 'static> Respond for Page<T> {
    /// A large page is serialised outside the threads that serve requests.
    async fn respond(self, request: &HttpRequest) -> HttpResponse {
        let json = match small_json(&self) {
            Some(json) => Ok(json),
            None => large_json(self, request).await,
        };
        match json {
            Ok(json) => HttpResponse::Ok()
                .content_type(header::ContentType::json())
                .body(json),
            Err(error) => HttpResponse::from_error(ApiError::from(error)),
        }
    }
}

/// The JSON of a page if it has at most [`MAX_INLINE_PAGE`].
fn small_json<T: Serialize>(page: &Page<T>) -> Option<Vec<u8>> {
    let mut json = AtMost(Vec::with_capacity(ITEM * (page.data.len() + 1)));
    serde_json::to_writer(&mut json, page).ok()?;
    Some(json.0)
}

async fn large_json(
    page: impl Serialize + Send + 'static,
    request: &HttpRequest,
) -> Result<Vec<u8>> {
    let tenant = path_tenant(request).unwrap_or_default();
    let compute = &app_state(request)?.service.compute;
    let json = compute.run(tenant, move |_| serde_json::to_vec(&page));
    json.await?.map_err(Error::internal)
}

/// A buffer that takes [`MAX_INLINE_PAGE`] and refuses more.
struct AtMost(Vec<u8>);

impl Write for AtMost {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    // Text is written in pieces, many of which are short.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.0.len() + bytes.len() > MAX_INLINE_PAGE {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Converts a reply to a response.
pub fn respond(reply: &impl Reply) -> HttpResponse {
    match reply.parts() {
        Ok(parts) => parts.respond(),
        Err(error) => HttpResponse::from_error(ApiError::from(error)),
    }
}

impl<T: Resource> Respond for Entity<T> {
    /// A read responds with 304 if the client has this revision.
    async fn respond(self, request: &HttpRequest) -> HttpResponse {
        let etag = self.0.revision().map(etag);
        let known = EntityTags::of(request.headers(), header::IF_NONE_MATCH);
        match (etag, known) {
            (Some(etag), Some(known)) if is_read(request.method()) && known.matches(&etag) => {
                HttpResponse::NotModified()
                    .insert_header((header::ETAG, etag))
                    .finish()
            }
            _ => respond(&self),
        }
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

impl<T: Resource> Respond for Created<T> {
    async fn respond(self, _: &HttpRequest) -> HttpResponse {
        respond(&self)
    }
}

impl<T: Resource> Respond for OkOrAccepted<T> {
    async fn respond(self, _: &HttpRequest) -> HttpResponse {
        respond(&self)
    }
}

impl<T: Resource> Respond for Put<T> {
    async fn respond(self, request: &HttpRequest) -> HttpResponse {
        match self {
            Self::Created(created) => created.respond(request).await,
            Self::Replaced(value) => Entity(value).respond(request).await,
        }
    }
}

impl Respond for Deleted {
    async fn respond(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::NoContent().finish()
    }
}

fn etag_header<T: Resource>() -> &'static [&'static str] {
    if T::VERSIONED { &["ETag"] } else { &[] }
}

impl<T: Resource> Describe for Entity<T> {
    fn describe(operation: &mut Operation) {
        let content = Some(operation.schema::<T>());
        operation.response(200, "Success.", etag_header::<T>(), content);
        if T::VERSIONED && is_read(operation.method()) {
            operation.if_none_match("ETag of the revision that the client has.");
            operation.response(
                304,
                "The client has the current revision. What is not part of it, such as an agent's `availability` and a \
                 session's `summary`, may have changed.",
                &["ETag"],
                None,
            );
        }
    }
}

impl<T: Resource> Describe for Created<T> {
    fn describe(operation: &mut Operation) {
        let content = Some(operation.schema::<T>());
        let headers: &[_] = if T::VERSIONED {
            &["Location", "ETag"]
        } else {
            &["Location"]
        };
        operation.response(201, "Created.", headers, content);
    }
}

impl<T: Resource> Describe for Put<T> {
    fn describe(operation: &mut Operation) {
        Entity::<T>::describe(operation);
        Created::<T>::describe(operation);
    }
}

impl<T: Resource> Describe for OkOrAccepted<T> {
    fn describe(operation: &mut Operation) {
        let content = Some(operation.schema::<T>());
        operation.response(
            200,
            "LiveKit has confirmed the change.",
            etag_header::<T>(),
            content.clone(),
        );
        operation.response(
            202,
            "The change is recorded. LiveKit has not confirmed it yet; the request to LiveKit is retried in the background.",
            etag_header::<T>(),
            content,
        );
    }
}

impl Describe for Deleted {
    fn describe(operation: &mut Operation) {
        operation.response(204, "Deleted.", &[], None);
    }
}

fn page_total() -> Value {
    json!({
        "type": "object",
        "description": "Number of items on all pages; only with `count=true`.",
        "required": ["value", "exact"],
        "properties": {
            "value": { "type": "integer", "format": "int32", "minimum": 0, "maximum": 10_000, "description": "The number, up to 10,000." },
            "exact": { "type": "boolean", "description": "Whether there are exactly so many; false if there are more." },
        },
        "example": { "value": 42, "exact": true },
    })
}

impl<T: ToSchema> Describe for Page<T> {
    fn describe(operation: &mut Operation) {
        let item = operation.schema::<T>();
        let mut page = json!({
            "type": "object",
            "description": "One page of a list, newest first.",
            "required": ["data", "next_cursor"],
            "properties": {
                "data": { "type": "array", "maxItems": 100, "items": item, "description": "Items of the page: `limit` of them, or fewer if they are large." },
                "next_cursor": { "type": ["string", "null"], "maxLength": 36, "pattern": CURSOR, "description": "Value of `cursor` for the next page; null on the last page." },
            },
        });
        if operation.has_parameter("count") {
            let mut total = operation.component("PageTotal", page_total());
            total["description"] = "Number of items on all pages; only with `count=true`.".into();
            page["properties"]["total"] = total;
        }
        let page = operation.component(&format!("{}List", component_name::<T>()), page);
        operation.response(200, "One page of the list.", &[], Some(page));
    }
}
