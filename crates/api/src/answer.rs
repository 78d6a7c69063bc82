//! What handlers answer: each type sets its status and headers and describes itself.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use patchbay_domain::Cursor;
use patchbay_persistence::{Rows, idempotency::KeptAnswer};
use patchbay_service::{Error, Result};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    app::App,
    error::ApiError,
    openapi::{Describe, Operation, component_name},
};

/// What can be answered: it has a schema, and, where it can change, a revision.
pub trait Resource: Serialize + ToSchema {
    /// The top-level field that is answered once and never kept.
    const SECRET: Option<&'static str> = None;
    /// Whether there is a revision.
    const VERSIONED: bool = false;
    /// The revision, which makes the ETag.
    fn revision(&self) -> Option<i64> {
        None
    }
}

/// 200 with one resource.
pub struct Entity<T>(pub T);

/// 201 with the resource and its path.
pub struct Created<T> {
    /// Path of the resource.
    pub location: String,
    /// The resource.
    pub value: T,
}

/// 201 where the resource is new, 200 where it took the place of one.
pub enum Put<T> {
    /// It is new.
    Created(Created<T>),
    /// It took the place of one.
    Replaced(T),
}

/// 200, or 202 while LiveKit has not confirmed yet.
pub struct Settled<T> {
    /// The resource as it is now.
    pub value: T,
    /// Whether nothing is pending.
    pub done: bool,
}

/// 204.
pub struct Deleted;

/// 200 with a page of a list.
#[derive(Serialize)]
pub struct Page<T> {
    /// The items, newest first.
    data: Vec<T>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page of these rows.
    pub fn new<R>(rows: Rows<R>, id: impl Fn(&R) -> Uuid, map: impl Fn(R) -> T) -> Self {
        let last = rows.rows.last().filter(|_| rows.more);
        let next_cursor = last.map(|row| Cursor::after(id(row)).to_string());
        Self {
            data: rows.rows.into_iter().map(map).collect(),
            next_cursor,
        }
    }

    /// The same for rows that may turn out unreadable.
    pub fn try_new<R, E>(
        rows: Rows<R>,
        id: impl Fn(&R) -> Uuid,
        map: impl Fn(R) -> std::result::Result<T, E>,
    ) -> std::result::Result<Self, E> {
        let Page { data, next_cursor } = Page::new(rows, id, map);
        let data = data.into_iter().collect::<std::result::Result<_, _>>()?;
        Ok(Self { data, next_cursor })
    }
}

/// An answer taken apart, so that it can be kept and given again.
pub struct Parts {
    /// HTTP status.
    pub status: u16,
    /// Path of what was created.
    pub location: Option<String>,
    /// Entity tag.
    pub etag: Option<String>,
    /// JSON.
    pub body: String,
}

impl Parts {
    fn of(status: u16, location: Option<String>, value: &impl Resource) -> Result<Self> {
        Ok(Self {
            status,
            location,
            etag: value.revision().map(|revision| format!("\"{revision}\"")),
            body: serde_json::to_string(value).map_err(Error::internal)?,
        })
    }

    /// What is kept of a reply for its idempotency key: all but a secret.
    pub fn kept<R: Reply>(reply: &R) -> Result<KeptAnswer> {
        let parts = reply.parts()?;
        Ok(KeptAnswer {
            status: Some(i16::try_from(parts.status).map_err(Error::internal)?),
            location: parts.location,
            etag: parts.etag,
            body: Some(without_secret::<R::Resource>(parts.body)?),
            settles_at: None,
        })
    }

    /// The response.
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

/// The body with null in the place of what is answered once.
fn without_secret<T: Resource>(body: String) -> Result<String> {
    let Some(field) = T::SECRET else {
        return Ok(body);
    };
    let mut value: Value = serde_json::from_str(&body).map_err(Error::internal)?;
    value[field] = Value::Null;
    Ok(value.to_string())
}

impl TryFrom<KeptAnswer> for Parts {
    type Error = Error;
    fn try_from(kept: KeptAnswer) -> Result<Self> {
        let incomplete = || Error::internal("a kept answer without its status or body");
        let status = kept.status.ok_or_else(incomplete)?;
        Ok(Self {
            status: u16::try_from(status).map_err(Error::internal)?,
            location: kept.location,
            etag: kept.etag,
            body: kept.body.ok_or_else(incomplete)?,
        })
    }
}

/// An answer with a resource in it.
pub trait Reply: Describe {
    /// What is in it.
    type Resource: Resource;
    /// Its parts.
    fn parts(&self) -> Result<Parts>;
}

impl<T: Resource> Reply for Entity<T> {
    type Resource = T;
    fn parts(&self) -> Result<Parts> {
        Parts::of(200, None, &self.0)
    }
}

impl<T: Resource> Reply for Created<T> {
    type Resource = T;
    fn parts(&self) -> Result<Parts> {
        Parts::of(201, Some(self.location.clone()), &self.value)
    }
}

impl<T: Resource> Reply for Settled<T> {
    type Resource = T;
    fn parts(&self) -> Result<Parts> {
        Parts::of(if self.done { 200 } else { 202 }, None, &self.value)
    }
}

/// What a handler answers becomes a response.
pub trait Respond {
    /// The response to this request.
    fn respond(self, request: &HttpRequest) -> impl Future<Output = HttpResponse>;
}

impl<T: Serialize + Send + 'static> Respond for Page<T> {
    /// A page may be large: it is written away from the threads that serve requests.
    async fn respond(self, request: &HttpRequest) -> HttpResponse {
        let Some(app) = request.app_data::<web::Data<App>>() else {
            return HttpResponse::from_error(ApiError::from(Error::internal("no state")));
        };
        let tenant = request.match_info().get("tenant_id");
        let tenant = tenant.and_then(|tenant| tenant.parse().ok());
        let written = app
            .service
            .compute
            .run(tenant, move |_| serde_json::to_string(&self))
            .await;
        match written.and_then(|json| json.map_err(Error::internal)) {
            Ok(json) => HttpResponse::Ok()
                .content_type(header::ContentType::json())
                .body(json),
            Err(error) => HttpResponse::from_error(ApiError::from(error)),
        }
    }
}

/// The response to an answer.
pub fn respond(reply: &impl Reply) -> HttpResponse {
    match reply.parts() {
        Ok(parts) => parts.respond(),
        Err(error) => HttpResponse::from_error(ApiError::from(error)),
    }
}

impl<T: Resource> Respond for Entity<T> {
    async fn respond(self, _: &HttpRequest) -> HttpResponse {
        respond(&self)
    }
}

impl<T: Resource> Respond for Created<T> {
    async fn respond(self, _: &HttpRequest) -> HttpResponse {
        respond(&self)
    }
}

impl<T: Resource> Respond for Settled<T> {
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

fn etag<T: Resource>() -> &'static [&'static str] {
    if T::VERSIONED { &["ETag"] } else { &[] }
}

impl<T: Resource> Describe for Entity<T> {
    fn describe(operation: &mut Operation) {
        let content = Some(operation.schema::<T>());
        operation.answer(200, "Done.", etag::<T>(), content);
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
        operation.answer(201, "Created.", headers, content);
    }
}

impl<T: Resource> Describe for Put<T> {
    fn describe(operation: &mut Operation) {
        Entity::<T>::describe(operation);
        Created::<T>::describe(operation);
    }
}

impl<T: Resource> Describe for Settled<T> {
    fn describe(operation: &mut Operation) {
        let content = Some(operation.schema::<T>());
        operation.answer(200, "LiveKit has confirmed.", etag::<T>(), content.clone());
        operation.answer(
            202,
            "Recorded; LiveKit has not confirmed yet and is asked again in the background.",
            etag::<T>(),
            content,
        );
    }
}

impl Describe for Deleted {
    fn describe(operation: &mut Operation) {
        operation.answer(204, "Gone.", &[], None);
    }
}

impl<T: ToSchema> Describe for Page<T> {
    fn describe(operation: &mut Operation) {
        let item = operation.schema::<T>();
        let page = operation.component(
            &format!("{}List", component_name::<T>()),
            json!({
                "type": "object",
                "description": "One page of a list, newest first.",
                "required": ["data", "next_cursor"],
                "properties": {
                    "data": { "type": "array", "maxItems": 100, "items": item, "description": "The items of the page: `limit`, or fewer where they are large." },
                    "next_cursor": { "type": ["string", "null"], "maxLength": 64, "description": "Send it as `cursor` for the next page; null on the last one." },
                },
            }),
        );
        operation.answer(200, "One page.", &[], Some(page));
    }
}
