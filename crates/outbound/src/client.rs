//! Calls with a total time, a size limit and few redirects.

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

/// Most redirects of one call.
const REDIRECTS: usize = 3;

/// Longest time for a name to be resolved.
const RESOLVE: Duration = Duration::from_secs(5);

/// A call to be made.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Where to.
    pub url: String,
    /// Headers; they are not sent on to another host.
    pub headers: HeaderMap,
    /// Body; empty for none.
    pub body: Bytes,
    /// Most time for all of it, redirects included.
    pub timeout: Duration,
    /// Most bytes of the answer's body.
    pub max_bytes: usize,
}

/// What was answered, whatever its status.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, as it came.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The address may not be called. Nothing was sent.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The time was up: the call may have taken effect.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The answer is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// Nobody was reached, or the connection broke.
    #[error("the call failed: {0}")]
    Failed(String),
    /// Redirected too often.
    #[error("redirected more than {REDIRECTS} times")]
    TooManyRedirects,
    /// A redirect that would carry the body to another host.
    #[error("redirected to another host with the body")]
    ForeignRedirect,
    /// The MCP server broke the protocol, or refused the call.
    #[error("the MCP server refused: {0}")]
    Mcp(String),
    /// The answer is compressed although that was not asked for.
    #[error("the answer is encoded as `{0}`")]
    Encoded(String),
}

/// Makes calls. Cheap to clone; connections are kept and used again.
#[derive(Clone)]
pub struct Client {
    policy: Policy,
    connector: Connector,
    http: legacy::Client<HttpsConnector<Connector>, Full<Bytes>>,
}

impl Client {
    /// A client that calls where the policy allows.
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

    /// Checks every address that a host has at this moment, for a connection that somebody else is
    /// about to make.
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

    /// Makes the call.
    pub async fn call(&self, request: Request) -> Result<HttpAnswer, Error> {
        let limit = request.timeout;
        let call = timeout(limit, self.follow(request));
        call.await.unwrap_or(Err(Error::Timeout(limit)))
    }

    async fn follow(&self, mut request: Request) -> Result<HttpAnswer, Error> {
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
                // What was meant for the one host, credentials above all, is not for the other.
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
        // Nothing is unpacked here, so nothing can burst.
        let identity = HeaderValue::from_static("identity");
        call.headers_mut().insert(ACCEPT_ENCODING, identity);
        self.http
            .request(call)
            .await
            .map_err(|error| failed(&error))
    }
}

/// Where a redirect leads.
fn target(url: &Url, response: &http::Response<Incoming>) -> Option<String> {
    let redirects = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| redirects)?;
    // What cannot be joined is handed on as it is, and refused by the check.
    let location = String::from_utf8_lossy(location.as_bytes());
    Some(
        url.join(&location)
            .map_or_else(|_| location.into_owned(), String::from),
    )
}

async fn read(response: http::Response<Incoming>, max_bytes: usize) -> Result<HttpAnswer, Error> {
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
    Ok(HttpAnswer {
        status: parts.status,
        headers: parts.headers,
        body: body.to_bytes(),
    })
}

/// The refusal at the bottom of a chain of errors, or the words of all of them.
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
