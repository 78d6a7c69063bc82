//! A real S3 server of one's own (moto), and a door in front of it that can be shut.

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

/// What happens to requests.
#[derive(Clone, Copy)]
pub enum Weather {
    /// They get through.
    Fair,
    /// They are answered 500.
    Failing,
    /// They are never answered.
    Hanging,
    /// What is answered to a GET breaks off in the middle.
    Cutting,
}

pub struct S3 {
    _moto: Process,
    /// Where the app finds it.
    pub url: String,
    /// Where the server itself is.
    direct: String,
    weather: Arc<AtomicU8>,
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
        let weather = Arc::new(AtomicU8::new(Weather::Fair as u8));
        let url = door(direct.clone(), Arc::clone(&weather));
        Self {
            _moto: moto,
            url,
            direct,
            weather,
        }
    }

    pub fn set(&self, weather: Weather) {
        self.weather.store(weather as u8, Ordering::Relaxed);
    }

    /// What the bucket is asked, by somebody who may look.
    pub async fn ask(&self, query: &str) -> String {
        let key = "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x";
        let client = reqwest::Client::new();
        let request = client.get(format!("{}/files?{query}", self.direct));
        let answer = request.header("authorization", key).send().await.unwrap();
        answer.text().await.unwrap()
    }
}

struct Door {
    to: String,
    client: reqwest::Client,
    weather: Arc<AtomicU8>,
}

fn door(to: String, weather: Arc<AtomicU8>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let door = web::Data::new(Door {
        to,
        client: reqwest::Client::new(),
        weather,
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(door.clone())
            .app_data(web::PayloadConfig::new(64 << 20))
            .default_service(web::to(pass))
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

async fn pass(request: HttpRequest, body: web::Bytes, door: web::Data<Door>) -> HttpResponse {
    match door.weather.load(Ordering::Relaxed) {
        w if w == Weather::Failing as u8 => return HttpResponse::InternalServerError().finish(),
        w if w == Weather::Hanging as u8 => tokio::time::sleep(Duration::from_secs(60)).await,
        _ => {}
    }
    let url = format!("{}{}", door.to, request.uri());
    let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes()).unwrap();
    let mut forward = door.client.request(method, url).body(body);
    for (name, value) in request.headers() {
        if !["host", "content-length", "connection"].contains(&name.as_str()) {
            forward = forward.header(name.as_str(), value.as_bytes());
        }
    }
    let answer = forward.send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers() {
        if !["connection", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            response.insert_header((name.as_str(), value.as_bytes()));
        }
    }
    let body = answer.bytes().await.unwrap();
    let cuts = door.weather.load(Ordering::Relaxed) == Weather::Cutting as u8;
    if cuts && request.method() == actix_web::http::Method::GET {
        let half = body.slice(..body.len() / 2);
        let broken = std::io::Error::other("the line is dead");
        let parts = futures_util::stream::iter([Ok(half), Err(broken)]);
        return response.no_chunking(body.len() as u64).streaming(parts);
    }
    response.body(body)
}
