//! The route table, from which the OpenAPI document is generated.
//!
//! A route is registered once, with its handler. The handler's signature has the types of its arguments and of
//! its response, and each of them describes itself ([`Describe`]): `Caller` the scope, `Json` the body, `List`
//! the filters, the response its status. The document can therefore not deviate from the code.

use std::{
    collections::BTreeMap,
    pin::{Pin, pin},
    time::Duration,
};

use actix_web::{Handler, HttpResponse, http::Method, rt::time::timeout};
use patchbay_domain::limits::Class;
use patchbay_service::{Error, panics::catch_panic};
use serde_json::Value;

use crate::{
    error::ApiError,
    extract::{InOrder, request::app_state},
    openapi::{Builder, Describe, Doc, Tag, TimeLimit},
    rates,
    response::Respond,
    routing::{Endpoint, Router},
};

/// All routes of the API.
#[derive(Default)]
pub struct Api {
    resources: BTreeMap<String, Vec<(Method, Endpoint)>>,
    document: Builder,
}

/// Adds routes with the same tag.
pub struct Group<'a> {
    api: &'a mut Api,
    tag: Tag,
}

impl Api {
    /// Returns a group for routes with this tag.
    pub fn tag(&mut self, tag: Tag) -> Group<'_> {
        Group { api: self, tag }
    }

    /// Returns the router of all routes.
    pub fn into_router(self) -> anyhow::Result<Router> {
        let mut router = Router::default();
        for (pattern, endpoints) in self.resources {
            router.add(pattern, endpoints)?;
        }
        Ok(router)
    }

    /// Returns the OpenAPI document.
    pub fn document(&self) -> Value {
        self.document.finish()
    }
}

impl Group<'_> {
    /// Adds a route with its handler.
    pub fn add<F, Args, R, E>(&mut self, path: &str, handler: F, doc: Doc)
    where
        F: Handler<Args, Output = Result<R, E>> + Send + Sync,
        Args: Describe + InOrder + 'static,
        R: Respond + Describe + 'static,
        E: Into<ApiError> + 'static,
    {
        let doc = Doc {
            tag: self.tag,
            ..doc
        };
        let api = &mut *self.api;
        let needs_key = api.document.add::<Args, R>(path, &doc);
        let limited = needs_key.then_some(doc.class);
        let endpoint = endpoint(handler, limited, doc.time);
        let endpoints = api.resources.entry(path.to_owned()).or_default();
        endpoints.push((doc.method, endpoint));
    }
}

/// The endpoint of a handler. Requests are counted in the rate limits of their class, if any, before anything of
/// them is extracted.
fn endpoint<F, Args, R, E>(handler: F, limited: Option<Class>, time: TimeLimit) -> Endpoint
where
    F: Handler<Args, Output = Result<R, E>> + Send + Sync,
    Args: InOrder + 'static,
    R: Respond + 'static,
    E: Into<ApiError> + 'static,
{
    Box::new(move |request, mut payload| {
        let handler = handler.clone();
        Box::pin(async move {
            let app = app_state(&request).map_err(ApiError::from)?;
            let limit = time.duration(&app.settings);
            let serve = pin!(async {
                if let Some(class) = limited {
                    let counted = rates::enforce(&request, class).await;
                    counted.map_err(ApiError::from)?;
                }
                let args = Args::extract(&request, &mut payload).await?;
                let response = handler.call(args).await.map_err(Into::<ApiError>::into)?;
                Ok(response.respond(&request).await)
            });
            bounded(limit, serve).await
        })
    })
}

/// Ends a request after `limit`, and converts a panic to an error. Both are errors of the handler: middlewares see
/// a response in every case. It takes the future by reference: those of handlers are large, and each layer around one
/// would copy it.
async fn bounded(
    limit: Duration,
    serve: Pin<&mut dyn Future<Output = actix_web::Result<HttpResponse>>>,
) -> actix_web::Result<HttpResponse> {
    match timeout(limit, catch_panic(serve)).await {
        Ok(Ok(served)) => served,
        Ok(Err(panicked)) => Err(ApiError::from(Error::internal(panicked)).into()),
        Err(_) => Err(ApiError::timed_out(limit).into()),
    }
}
