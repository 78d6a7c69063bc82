//! One list that is both the route table and the document.
//!
//! A route is registered once, with its handler. What the handler takes and answers is in its
//! type, and each of those types describes itself ([`Describe`]): the scope comes from `Caller`,
//! the body from `Json`, the filters from `List`, the status from the answer. The document can
//! therefore not say anything else than the code does.

mod document;
mod tag;
mod tidy;

use std::{collections::BTreeMap, sync::Arc};

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, guard,
    http::{Method, header},
    web,
};
pub use document::{Describe, Operation, component_name};
use serde_json::Value;
pub use tag::Tag;

use crate::{
    answer::Respond,
    error::{ApiError, Code},
    extract::InOrder,
};

/// What a route says about itself beyond its types.
pub struct Doc {
    /// Unique, in camelCase.
    pub id: &'static str,
    /// The group it is shown in.
    pub tag: Tag,
    /// One line.
    pub summary: &'static str,
    /// What a caller must know.
    pub description: &'static str,
    /// The conflicts that can occur, besides what follows from the types.
    pub errors: &'static [Code],
}

type MakeRoute = Arc<dyn Fn() -> actix_web::Route + Send + Sync>;

/// All routes of the service.
#[derive(Default)]
pub struct Api {
    resources: BTreeMap<String, Vec<(Method, MakeRoute)>>,
    document: document::Builder,
}

impl Api {
    /// Adds a route.
    pub fn route<F, Args, R>(&mut self, method: Method, path: &'static str, handler: F, doc: Doc)
    where
        F: Handler<Args, Output = Result<R, ApiError>> + Send + Sync,
        Args: Describe + 'static,
        InOrder<Args>: FromRequest,
        R: Respond + Describe + 'static,
    {
        self.document.add::<Args, R>(&method, path, &doc);
        let make = {
            let method = method.clone();
            move || {
                let route = match method {
                    // What can be read can be asked about.
                    Method::GET => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
                    _ => web::method(method.clone()),
                };
                let handler = handler.clone();
                route.to(move |request: HttpRequest, InOrder(args): InOrder<Args>| {
                    let answered = handler.call(args);
                    async move { Ok::<_, ApiError>(answered.await?.respond(&request).await) }
                })
            }
        };
        let routes = self.resources.entry(path.to_owned()).or_default();
        routes.push((method, Arc::new(make)));
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

    /// The OpenAPI document.
    pub fn document(&self) -> Value {
        self.document.finish()
    }
}
