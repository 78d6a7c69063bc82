//! Finding the endpoint of a request: one lookup in a trie, whatever the number of routes.

use std::{rc::Rc, sync::Arc};

use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse,
    dev::Payload,
    http::{Method, header},
    web,
};
use futures_util::future::LocalBoxFuture;
use patchbay_service::Error;
use percent_encoding::percent_decode_str;

use crate::error::ApiError;

/// Serves the requests of one route.
pub type Endpoint = Box<
    dyn Fn(HttpRequest, Payload) -> LocalBoxFuture<'static, actix_web::Result<HttpResponse>>
        + Send
        + Sync,
>;

/// The resources by the pattern of their path.
#[derive(Default)]
pub struct Router {
    resources: matchit::Router<Arc<Resource>>,
}

/// The endpoints of a path, by method.
struct Resource {
    pattern: String,
    endpoints: Vec<(Method, Endpoint)>,
    /// Value of the header `Allow`.
    allow: String,
}

/// The resource of a request's path, with the values of the path's parameters.
pub struct Match {
    resource: Arc<Resource>,
    /// Decoded, by name, in order.
    values: Vec<(String, String)>,
}

impl Router {
    /// Adds a resource; `pattern` has its parameters in braces. Fails if another one has the same paths.
    pub fn add(
        &mut self,
        pattern: String,
        endpoints: Vec<(Method, Endpoint)>,
    ) -> Result<(), matchit::InsertError> {
        let mut methods: Vec<_> = endpoints
            .iter()
            .map(|(method, _)| method.as_str())
            .collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        let resource = Resource {
            allow: methods.join(", "),
            pattern: pattern.clone(),
            endpoints,
        };
        self.resources.insert(pattern, Arc::new(resource))
    }

    /// Finds the resource of a path, in which `/`, `%` and `+` may be percent-encoded.
    pub fn find(&self, path: &str) -> Option<Match> {
        let found = self.resources.at(path).ok()?;
        let decoded = |value| percent_decode_str(value).decode_utf8_lossy().into_owned();
        Some(Match {
            resource: Arc::clone(found.value),
            values: found
                .params
                .iter()
                .map(|(name, value)| (name.to_owned(), decoded(value)))
                .collect(),
        })
    }
}

impl Match {
    /// Returns what the envelope has found for this request.
    pub fn of(request: &HttpRequest) -> Option<Rc<Self>> {
        request.extensions().get().cloned()
    }

    /// The pattern of the path.
    pub fn pattern(&self) -> &str {
        &self.resource.pattern
    }

    /// The values of the parameters, in order.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|(_, value)| value.as_str())
    }

    /// The value of a parameter.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.values.iter();
        values.find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    /// The endpoint of a method; HEAD has that of GET.
    fn endpoint(&self, method: &Method) -> Option<&Endpoint> {
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let mut endpoints = self.resource.endpoints.iter();
        endpoints.find_map(|(known, endpoint)| (known == method).then_some(endpoint))
    }
}

/// Serves a request by the endpoint that the envelope has found.
pub async fn answer(
    request: HttpRequest,
    payload: web::Payload,
) -> actix_web::Result<HttpResponse> {
    let found = Match::of(&request).ok_or_else(|| ApiError::from(Error::not_found()))?;
    if let Some(endpoint) = found.endpoint(request.method()) {
        return endpoint(request.clone(), payload.into_inner()).await;
    }
    let allow = found.resource.allow.clone();
    if request.method() == Method::OPTIONS {
        let mut response = HttpResponse::NoContent();
        return Ok(response.insert_header((header::ALLOW, allow)).finish());
    }
    Err(ApiError::method_not_allowed(allow).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(patterns: &[&str]) -> Router {
        let mut router = Router::default();
        for pattern in patterns {
            let endpoint: Endpoint =
                Box::new(|_, _| Box::pin(async { Ok(HttpResponse::Ok().finish()) }));
            let endpoints = vec![(Method::GET, endpoint)];
            router.add((*pattern).to_owned(), endpoints).unwrap();
        }
        router
    }

    #[test]
    fn a_literal_segment_comes_before_a_parameter() {
        let router = router(&["/things/{thing_id}", "/things/newest", "/things/{id}/parts"]);
        let pattern = |path| router.find(path).map(|found| found.pattern().to_owned());
        assert_eq!(pattern("/things/newest").unwrap(), "/things/newest");
        assert_eq!(pattern("/things/new").unwrap(), "/things/{thing_id}");
        assert_eq!(
            pattern("/things/newest/parts").unwrap(),
            "/things/{id}/parts"
        );
        for path in ["/things", "/things/", "/things//parts", "/things/1/", "/"] {
            assert_eq!(pattern(path), None, "{path}");
        }
    }

    #[test]
    fn values_are_decoded_after_the_path_is_split() {
        let router = router(&["/a/{first}/{second}"]);
        let found = router.find("/a/b%2Fc/50%25+1").unwrap();
        assert_eq!(found.values().collect::<Vec<_>>(), ["b/c", "50%+1"]);
        assert_eq!(found.value("second"), Some("50%+1"));
        assert_eq!(found.value("third"), None);
    }
}
