//! A real S3 server (moto) for one test, and a proxy in front of it that injects faults.

use std::{
    net::TcpListener,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, http::StatusCode, web};

use super::{Process, environment, free_port};

/// A fault of the store.
#[derive(Clone, Copy)]
pub enum StoreFault {
    /// Requests are forwarded.
    None,
    /// Requests fail with 500.
    ServerError,
    /// Requests get no response.
    NoResponse,
    /// Downloads break off in the middle.
    CutDownload,
}

pub struct S3 {
    _moto: Process,
    /// URL of the proxy, for the app.
    pub url: String,
    /// URL of the server.
    direct: String,
    fault: Arc<AtomicU8>,
}

impl S3 {
    /// A server with the bucket `files`.
    pub async fn start() -> Self {
        let port = free_port();
        let python = environment("PYTHON");
        let server = Path::new(&python).with_file_name("moto_server");
        let mut moto = Process::start("moto", server, |command| {
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        });
        moto.wait_for_port(port);
        let direct = format!("http://127.0.0.1:{port}");
        let client = reqwest::Client::new();
        let made = client.put(format!("{direct}/files")).send().await;
        assert!(made.unwrap().status().is_success());
        let fault = Arc::new(AtomicU8::new(StoreFault::None as u8));
        let url = start_proxy(direct.clone(), Arc::clone(&fault));
        Self {
            _moto: moto,
            url,
            direct,
            fault,
        }
    }

    pub fn set_fault(&self, fault: StoreFault) {
        self.fault.store(fault as u8, Ordering::Relaxed);
    }

    /// Queries the bucket directly.
    pub async fn query_bucket(&self, query: &str) -> String {
        let key = "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x";
        let client = reqwest::Client::new();
        let request = client.get(format!("{}/files?{query}", self.direct));
        let answer = request.header("authorization", key).send().await.unwrap();
        answer.text().await.unwrap()
    }
}

struct Proxy {
    to: String,
    client: reqwest::Client,
    fault: Arc<AtomicU8>,
}

fn start_proxy(to: String, fault: Arc<AtomicU8>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = web::Data::new(Proxy {
        to,
        client: reqwest::Client::new(),
        fault,
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(proxy.clone())
            .app_data(web::PayloadConfig::new(64 << 20))
            .default_service(web::to(forward))
    });
    tokio::spawn(
        server
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run(),
    );
    format!("http://{address}")
}

async fn forward(request: HttpRequest, body: web::Bytes, proxy: web::Data<Proxy>) -> HttpResponse {
    match proxy.fault.load(Ordering::Relaxed) {
        fault if fault == StoreFault::ServerError as u8 => {
            return HttpResponse::InternalServerError().finish();
        }
        fault if fault == StoreFault::NoResponse as u8 => {
            tokio::time::sleep(Duration::from_secs(60)).await
        }
        _ => {}
    }
    let url = format!("{}{}", proxy.to, request.uri());
    let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes()).unwrap();
    let mut forwarded = proxy.client.request(method, url).body(body);
    for (name, value) in request.headers() {
        if !["host", "content-length", "connection"].contains(&name.as_str()) {
            forwarded = forwarded.header(name.as_str(), value.as_bytes());
        }
    }
    let answer = forwarded.send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers() {
        if !["connection", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            response.insert_header((name.as_str(), value.as_bytes()));
        }
    }
    let body = answer.bytes().await.unwrap();
    let cuts = proxy.fault.load(Ordering::Relaxed) == StoreFault::CutDownload as u8;
    if cuts && request.method() == actix_web::http::Method::GET {
        let half = body.slice(..body.len() / 2);
        let broken = std::io::Error::other("the line is dead");
        let parts = futures_util::stream::iter([Ok(half), Err(broken)]);
        return response.no_chunking(body.len() as u64).streaming(parts);
    }
    response.body(body)
}
