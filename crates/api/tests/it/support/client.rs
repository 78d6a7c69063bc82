//! A client that validates every response against the OpenAPI document.

use std::time::Duration;

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::Value;

use super::document::validate;

/// An API client.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
    headers: Vec<(String, String)>,
}

/// A response that has been validated against the document.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Response {
    /// Asserts the status; returns the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// Asserts status and code of an error.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{body}");
        body
    }

    /// The pointer and code of every violation.
    pub fn violations(&self) -> Vec<(String, String)> {
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        errors
            .iter()
            .map(|e| (text(&e["pointer"]), text(&e["code"])))
            .collect()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap_or_default())
    }
}

/// The origin of a page that every application under test allows.
pub const ORIGIN: &str = "https://app.example";

/// A client that keeps no connection for as long as the server does: a request on one that is being closed would fail.
fn http() -> reqwest::Client {
    let builder = reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(1));
    builder.build().unwrap()
}

impl Client {
    pub fn new(base: &str, key: Option<&str>) -> Self {
        Self {
            http: http(),
            base: base.to_owned(),
            key: key.map(ToOwned::to_owned),
            headers: Vec::new(),
        }
    }

    /// The same client with an additional header.
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// Sends a request with any body.
    pub async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Response {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let is_set = |name: &str| self.headers.iter().any(|(known, _)| known == name);
        if body.is_some() && !is_set("content-type") {
            request = request.header("content-type", "application/json");
        }
        let is_foreign = is_set("origin");
        if !is_foreign {
            request = request.header("origin", ORIGIN);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        let is_binary = headers
            .get("content-type")
            .is_some_and(|t| t == "application/octet-stream");
        let body = match is_binary {
            true => String::from_utf8_lossy(&bytes).into(),
            false => serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        };
        assert!(
            !headers.get("x-request-id").is_none_or(|id| id.is_empty()),
            "{method} {path}"
        );
        // Without the header, a browser keeps the response from the page, whatever its status.
        let readable = headers.get("access-control-allow-origin");
        assert!(
            is_foreign || readable.is_some_and(|origin| origin == ORIGIN),
            "{method} {path} from a page: {status}"
        );
        validate(&method, path, status.as_u16(), &headers, &body);
        Response {
            status,
            headers,
            body,
        }
    }

    /// Asks as a browser does before a request of a page from [`ORIGIN`]; returns status, headers and text.
    pub async fn preflight(&self, path: &str) -> (StatusCode, HeaderMap, String) {
        let url = format!("{}{path}", self.base);
        let mut request = self
            .http
            .request(Method::OPTIONS, url)
            .header("origin", ORIGIN);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, response.text().await.unwrap())
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.send(Method::POST, path, Some(body.to_string().into()))
            .await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Response {
        self.send(Method::PUT, path, Some(body.to_string().into()))
            .await
    }

    /// Uploads a file as bare bytes.
    pub async fn upload(&self, path: &str, bytes: &[u8]) -> Response {
        let typed = self.with_header("content-type", "application/octet-stream");
        typed.send(Method::POST, path, Some(bytes.to_vec())).await
    }

    /// A POST without a body.
    pub async fn act(&self, path: &str) -> Response {
        self.send(Method::POST, path, None).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Response {
        self.send(Method::PATCH, path, Some(body.to_string().into()))
            .await
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.send(Method::DELETE, path, None).await
    }
}
