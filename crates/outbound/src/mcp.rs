//! Tool calls on MCP servers (streamable HTTP): `rmcp` implements the protocol, this crate the connections.

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT, CONTENT_TYPE},
};
use rmcp::{
    ErrorData, ServiceError, ServiceExt as _,
    model::{CallToolRequestParams, CallToolResult, ClientJsonRpcMessage},
    service::ClientInitializeError,
    transport::{
        StreamableHttpClientTransport,
        streamable_http_client::{
            StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
            StreamableHttpPostResponse,
        },
    },
};
use serde_json::{Map, Value};
use sse_stream::{Error as SseError, Sse, SseStream};
use tokio::{sync::watch, time::timeout};

use crate::{Client, Error, HttpResponse, Request};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// A tool call.
#[derive(Clone, Debug)]
pub struct McpCall {
    /// The server.
    pub url: String,
    /// Headers of every request to it.
    pub headers: HeaderMap,
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// Timeout of the whole call: initialization, tool call and closing of the session.
    pub timeout: Duration,
    /// Maximum bytes of each response.
    pub max_bytes: usize,
}

/// The result of the tool.
#[derive(Clone, Debug)]
pub struct McpResponse {
    /// Its structured content; otherwise its text, if it has nothing else; otherwise its content blocks.
    pub result: Value,
    /// Whether the tool reports an error.
    pub is_error: bool,
}

impl Client {
    /// Opens a session, calls the tool once, and closes the session.
    pub async fn call_mcp(&self, call: McpCall) -> Result<McpResponse, Error> {
        let limit = call.timeout;
        let (failed, failure) = watch::channel(None);
        let guarded = Guarded {
            client: self.clone(),
            headers: call.headers,
            timeout: limit,
            max_bytes: call.max_bytes,
            failed: Arc::new(failed),
        };
        let config = StreamableHttpClientTransportConfig::with_uri(call.url);
        let transport = StreamableHttpClientTransport::with_client(guarded, config);
        let mut params = CallToolRequestParams::new(call.tool);
        params.arguments = Some(call.arguments);
        let talk = async {
            let service = ().serve(transport).await.map_err(|error| not_opened(&error))?;
            let result = service.call_tool(params).await;
            // Closing may fail: the call is done.
            let _ = service.cancel().await;
            result.map(response).map_err(|error| refusal(&error))
        };
        let outcome = timeout(limit, talk).await;
        // The connection's error is more precise than the protocol's.
        let met = failure.borrow().clone();
        match (outcome, met) {
            (Ok(Ok(response)), _) => Ok(response),
            (_, Some(error)) => Err(error),
            (Ok(Err(error)), None) => Err(error),
            (Err(_), None) => Err(Error::Timeout(limit)),
        }
    }
}

/// What the server says is passed on; what the protocol's library says is about its code.
fn refusal(error: &ServiceError) -> Error {
    match error {
        ServiceError::McpError(error) => said(error),
        _ => deviation(),
    }
}

fn not_opened(error: &ClientInitializeError) -> Error {
    match error {
        ClientInitializeError::JsonRpcError(error) => said(error),
        _ => deviation(),
    }
}

fn said(error: &ErrorData) -> Error {
    Error::Mcp(format!("{} ({})", error.message, error.code.0))
}

fn deviation() -> Error {
    Error::Mcp("it does not keep to the protocol".to_owned())
}

fn response(result: CallToolResult) -> McpResponse {
    let texts: Option<Vec<_>> = result.content.iter().map(|block| block.as_text()).collect();
    let text = texts.map(|texts| {
        let texts: Vec<_> = texts.iter().map(|text| &*text.text).collect();
        Value::from(texts.join("\n"))
    });
    let blocks = || serde_json::to_value(&result.content).unwrap_or_default();
    McpResponse {
        result: result.structured_content.or(text).unwrap_or_else(blocks),
        is_error: result.is_error.unwrap_or_default(),
    }
}

/// The transport: every request goes through the checked connector, is limited in size and time, and is sent
/// once.
#[derive(Clone)]
struct Guarded {
    client: Client,
    headers: HeaderMap,
    timeout: Duration,
    max_bytes: usize,
    failed: Arc<watch::Sender<Option<Error>>>,
}

type Outcome<T> = Result<T, StreamableHttpError<Error>>;

impl Guarded {
    async fn send(
        &self,
        method: Method,
        url: &str,
        session: Option<Arc<str>>,
        more: HashMap<HeaderName, HeaderValue>,
        body: Bytes,
    ) -> Outcome<HttpResponse> {
        let mut headers = self.headers.clone();
        headers.extend(more);
        let accepted = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(ACCEPT, accepted);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(session) = session {
            let value = HeaderValue::from_str(&session);
            headers.insert(SESSION, value.map_err(|_| unexpected("a session id"))?);
        }
        let response = self.client.call(Request {
            method,
            url: url.to_owned(),
            headers,
            body,
            timeout: self.timeout,
            max_bytes: self.max_bytes,
        });
        response.await.map_err(|error| self.met(error))
    }

    fn met(&self, error: Error) -> StreamableHttpError<Error> {
        self.failed.send_if_modified(|met| {
            let is_first = met.is_none();
            met.get_or_insert_with(|| error.clone());
            is_first
        });
        StreamableHttpError::Client(error)
    }
}

fn unexpected(what: &'static str) -> StreamableHttpError<Error> {
    StreamableHttpError::UnexpectedServerResponse(Cow::Borrowed(what))
}

impl StreamableHttpClient for Guarded {
    type Error = Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<StreamableHttpPostResponse> {
        let body = serde_json::to_vec(&message)?.into();
        let response = self
            .send(Method::POST, &uri, session, headers, body)
            .await?;
        let status = response.status.as_u16();
        if matches!(status, 202 | 204) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let header = |name: HeaderName| response.headers.get(name)?.to_str().ok();
        let kind = header(CONTENT_TYPE).unwrap_or_default().to_owned();
        let session = header(SESSION).map(ToOwned::to_owned);
        if kind.starts_with("text/event-stream") && response.status.is_success() {
            let body = stream::once(async { Ok::<_, std::convert::Infallible>(response.body) });
            let events = SseStream::from_bytes_stream(body).boxed();
            return Ok(StreamableHttpPostResponse::Sse(events, session));
        }
        // A JSON-RPC error may come with any status.
        match serde_json::from_slice(&response.body) {
            Ok(message) => Ok(StreamableHttpPostResponse::Json(message, session)),
            Err(_) => Err(self.met(Error::Mcp(format!("it answered {status} with `{kind}`")))),
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        _auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<()> {
        let body = Bytes::new();
        self.send(Method::DELETE, &uri, Some(session), headers, body)
            .await?;
        Ok(())
    }

    /// A single call needs no messages from the server but its response.
    async fn get_stream(
        &self,
        _: Arc<str>,
        _: Option<Arc<str>>,
        _: Option<String>,
        _: Option<String>,
        _: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<BoxStream<'static, Result<Sse, SseError>>> {
        Err(StreamableHttpError::ServerDoesNotSupportSse)
    }
}
