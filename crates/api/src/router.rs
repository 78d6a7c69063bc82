//! The route table, from which the OpenAPI document is generated.
//!
//! A route is registered once, with its handler. The handler's signature has the types of its arguments and of
//! its response, and each of them describes itself ([`Describe`]): `Caller` the scope, `Json` the body, `List`
//! the filters, the response its status. The document can therefore not deviate from the code.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, guard,
    http::{Method, header},
    rt::time::timeout,
    web,
};
use patchbay_domain::limits::Class;
use patchbay_service::{Error, panics::catch_panic};
use serde_json::Value;

use crate::{
    app::App,
    error::ApiError,
    extract::InOrder,
    openapi::{Builder, Describe, Doc, Tag, TimeLimit},
    rates,
    response::Respond,
};

type MakeRoute = Arc<dyn Fn() -> actix_web::Route + Send + Sync>;

/// All routes of the API.
#[derive(Default)]
pub struct Api {
    resources: BTreeMap<String, Vec<(Method, MakeRoute)>>,
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

    /// Adds all routes to an actix application.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        for (path, routes) in &self.resources {
            let mut methods: Vec<_> = routes.iter().map(|(method, _)| method.as_str()).collect();
            if methods.contains(&"GET") {
                methods.push("HEAD");
            }
            methods.push("OPTIONS");
            let allow = methods.join(", ");
            let mut resource = web::resource(path.as_str());
            for (_, make) in routes {
                resource = resource.route(make());
            }
            let options = allow.clone();
            resource = resource
                .route(web::method(Method::OPTIONS).to(move || {
                    let allow = options.clone();
                    async move {
                        HttpResponse::NoContent()
                            .insert_header((header::ALLOW, allow))
                            .finish()
                    }
                }))
                .default_service(web::to(move || {
                    let allow = allow.clone();
                    async move { Err::<HttpResponse, _>(ApiError::method_not_allowed(allow)) }
                }));
            config.service(resource);
        }
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
        Args: Describe + 'static,
        InOrder<Args>: FromRequest<Error = actix_web::Error>,
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
        let method = doc.method.clone();
        let make = {
            let (method, time) = (method.clone(), doc.time);
            move || route(&method, handler.clone(), limited, time)
        };
        let routes = api.resources.entry(path.to_owned()).or_default();
        routes.push((method, Arc::new(make)));
    }
}

/// The actix route of a handler. Requests are counted in the rate limits of their class, if any, before anything of
/// them is extracted.
fn route<F, Args, R, E>(
    method: &Method,
    handler: F,
    limited: Option<Class>,
    time: TimeLimit,
) -> actix_web::Route
where
    F: Handler<Args, Output = Result<R, E>> + Send + Sync,
    Args: 'static,
    InOrder<Args>: FromRequest<Error = actix_web::Error>,
    R: Respond + 'static,
    E: Into<ApiError> + 'static,
{
    let route = match *method {
        Method::GET => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
        _ => web::method(method.clone()),
    };
    route.to(
        move |app: web::Data<App>, request: HttpRequest, payload: web::Payload| {
            let handler = handler.clone();
            let serve = async move {
                if let Some(class) = limited {
                    let counted = rates::enforce(&request, class).await;
                    counted.map_err(ApiError::from)?;
                }
                let mut payload = payload.into_inner();
                let InOrder(args) = InOrder::<Args>::from_request(&request, &mut payload).await?;
                let response = handler.call(args).await.map_err(Into::<ApiError>::into)?;
                Ok::<_, actix_web::Error>(response.respond(&request).await)
            };
            bounded(time.duration(&app.settings), serve)
        },
    )
}

/// Ends a request after `limit`, and converts a panic to an error. Both are errors of the handler: middlewares see
/// a response in every case.
async fn bounded(
    limit: Duration,
    serve: impl Future<Output = actix_web::Result<HttpResponse>>,
) -> actix_web::Result<HttpResponse> {
    match timeout(limit, catch_panic(serve)).await {
        Ok(Ok(served)) => served,
        Ok(Err(panicked)) => Err(ApiError::from(Error::internal(panicked)).into()),
        Err(_) => Err(ApiError::timed_out(limit).into()),
    }
}
