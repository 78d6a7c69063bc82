//! An HTTP server for tools that records its requests.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

/// The server. It responds with the request, except on paths whose names say otherwise.
#[derive(Clone)]
pub struct Upstream {
    pub url: String,
    pub calls: Arc<Mutex<Vec<Value>>>,
}

impl Upstream {
    pub fn start() -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let data = web::Data::from(Arc::clone(&calls));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .default_service(web::to(answer))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        tokio::spawn(server.run());
        Self { url, calls }
    }

    /// The requests so far.
    pub fn calls(&self) -> Vec<Value> {
        self.calls.lock().unwrap().clone()
    }
}

async fn answer(
    request: HttpRequest,
    body: web::Bytes,
    calls: web::Data<Mutex<Vec<Value>>>,
) -> HttpResponse {
    let headers = request.headers().iter();
    let headers: serde_json::Map<_, _> = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().into()))
        .collect();
    let text = String::from_utf8_lossy(&body).into_owned();
    let asked = json!({
        "method": request.method().as_str(), "path": request.uri().to_string(), "headers": headers, "body": text,
    });
    calls.lock().unwrap().push(asked.clone());
    match request.path() {
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            HttpResponse::Ok().json(asked)
        }
        "/never" => std::future::pending().await,
        "/big" => HttpResponse::Ok().body("x".repeat(70_000)),
        "/rpc-error" => {
            let id = serde_json::from_str::<Value>(&text).unwrap_or_default()["id"].clone();
            let message = format!("bad {}", asked["headers"]["authorization"]);
            HttpResponse::Ok().json(json!({
                "jsonrpc": "2.0", "id": id, "error": { "code": -32000, "message": message },
            }))
        }
        "/missing" => HttpResponse::NotFound().json(json!({ "message": "no such order" })),
        "/elsewhere" => HttpResponse::Found()
            .insert_header(("location", "http://10.1.2.3/"))
            .finish(),
        _ => HttpResponse::Ok().json(json!({ "order": { "state": "sent" }, "asked": asked })),
    }
}
