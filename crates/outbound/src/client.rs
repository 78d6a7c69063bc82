//! An HTTP client with a total timeout, a size limit and few redirects.

use std::{error::Error as StdError, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, Method, StatusCode,
    header::{
        ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION,
    },
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{client::legacy, rt::TokioExecutor};
use tokio::time::timeout;
use url::{Host, Url};

use crate::{Network, Policy, Refused, connect::Connector};

/// Maximum redirects of one request.
const REDIRECTS: usize = 3;

/// Timeout of name resolution.
const RESOLVE: Duration = Duration::from_secs(5);

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// URL.
    pub url: String,
    /// Headers; they are not forwarded to another host.
    pub headers: HeaderMap,
    /// Body; empty for none.
    pub body: Bytes,
    /// Total timeout, redirects included.
    pub timeout: Duration,
    /// Maximum bytes of the response body.
    pub max_bytes: usize,
}

/// A response of any status.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, unchanged.
    pub body: Bytes,
}

/// Why there is no response.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The address is not allowed. Nothing was sent.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Timeout: the request may have taken effect.
    #[error("no response within {0:?}")]
    Timeout(Duration),
    /// The response is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection failed or broke.
    #[error("the call failed: {0}")]
    Failed(String),
    /// Too many redirects.
    #[error("redirected more than {REDIRECTS} times")]
    TooManyRedirects,
    /// A redirect that would carry the body to another host.
    #[error("redirected to another host with the body")]
    ForeignRedirect,
    /// The MCP server broke the protocol, or refused the call.
    #[error("the MCP server refused: {0}")]
    Mcp(String),
    /// The response is compressed although that was not requested.
    #[error("the answer is encoded as `{0}`")]
    Encoded(String),
}

/// The HTTP client. Cheap to clone; connections are pooled.
#[derive(Clone)]
pub struct Client {
    policy: Policy,
    connector: Connector,
    http: legacy::Client<HttpsConnector<Connector>, Full<Bytes>>,
}

impl Client {
    /// A client under this policy.
    pub fn new(policy: Policy, network: Network) -> Result<Self, Error> {
        let connector = Connector {
            policy: policy.clone(),
            network,
        };
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_platform_verifier(rustls::crypto::ring::default_provider())
            .map_err(|error| Error::Failed(error.to_string()))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector.clone());
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(tls);
        Ok(Self {
            policy,
            connector,
            http,
        })
    }

    /// Checks every current address of a host, before another program connects to it.
    pub async fn check_host(&self, host: &Host) -> Result<(), Error> {
        self.policy.check_host(host)?;
        let check = self.connector.admitted(host.to_string());
        let checked = timeout(RESOLVE, check).await;
        let checked = checked.map_err(|_| Error::Failed("its name does not resolve".to_owned()))?;
        match checked {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Failed(error.to_string())),
        }
    }

    /// Sends the request.
    pub async fn call(&self, request: Request) -> Result<HttpResponse, Error> {
        let limit = request.timeout;
        let call = timeout(limit, self.follow(request));
        call.await.unwrap_or(Err(Error::Timeout(limit)))
    }

    async fn follow(&self, mut request: Request) -> Result<HttpResponse, Error> {
        let mut url = self.policy.check_url(&request.url)?;
        for _ in 0..=REDIRECTS {
            let response = self.send(&url, &request).await?;
            let Some(target) = target(&url, &response) else {
                return read(response, request.max_bytes).await;
            };
            let next = self.policy.check_url(&target)?;
            let keeps_body = matches!(response.status().as_u16(), 307 | 308);
            let same = next.origin() == url.origin();
            if !keeps_body && request.method != Method::HEAD {
                request.method = Method::GET;
                request.body = Bytes::new();
                request.headers.remove(CONTENT_TYPE);
            }
            if !same {
                if !request.body.is_empty() {
                    return Err(Error::ForeignRedirect);
                }
                // Headers for one host, credentials above all, must not reach another.
                request.headers.clear();
            }
            url = next;
        }
        Err(Error::TooManyRedirects)
    }

    async fn send(&self, url: &Url, request: &Request) -> Result<http::Response<Incoming>, Error> {
        let mut call = http::Request::builder()
            .method(request.method.clone())
            .uri(url.as_str())
            .body(Full::new(request.body.clone()))
            .map_err(|error| Error::Failed(error.to_string()))?;
        *call.headers_mut() = request.headers.clone();
        // Nothing is decompressed here, so there can be no decompression bomb.
        let identity = HeaderValue::from_static("identity");
        call.headers_mut().insert(ACCEPT_ENCODING, identity);
        self.http
            .request(call)
            .await
            .map_err(|error| failed(&error))
    }
}

/// The target of a redirect.
fn target(url: &Url, response: &http::Response<Incoming>) -> Option<String> {
    let redirects = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| redirects)?;
    // A location that cannot be joined is returned unchanged, and fails the check.
    let location = String::from_utf8_lossy(location.as_bytes());
    Some(
        url.join(&location)
            .map_or_else(|_| location.into_owned(), String::from),
    )
}

async fn read(response: http::Response<Incoming>, max_bytes: usize) -> Result<HttpResponse, Error> {
    let (parts, body) = response.into_parts();
    if let Some(encoding) = parts
        .headers
        .get(CONTENT_ENCODING)
        .filter(|e| *e != "identity")
    {
        let name = String::from_utf8_lossy(encoding.as_bytes());
        return Err(Error::Encoded(name.chars().take(40).collect()));
    }
    let announced = parts.headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max_bytes) {
        return Err(Error::TooLarge(max_bytes));
    }
    let body = Limited::new(body, max_bytes).collect().await;
    let body = body.map_err(
        |error| match error.is::<http_body_util::LengthLimitError>() {
            true => Error::TooLarge(max_bytes),
            false => Error::Failed(error.to_string()),
        },
    )?;
    Ok(HttpResponse {
        status: parts.status,
        headers: parts.headers,
        body: body.to_bytes(),
    })
}

/// The refusal at the end of a chain of errors, or the messages of all of them.
fn failed(error: &legacy::Error) -> Error {
    let mut words = error.to_string();
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(inner) = cause {
        let io = inner.downcast_ref::<std::io::Error>();
        let refused = io.and_then(|io| io.get_ref()?.downcast_ref::<Refused>());
        if let Some(refused) = refused {
            return Error::Refused(refused.clone());
        }
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    Error::Failed(words)
}
