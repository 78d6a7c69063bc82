//! A fake provider with OpenAI's `/embeddings`, with the real model behind it and the faults that providers have.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use patchbay_vectors::{Embedder, Purpose};
use serde::Deserialize;
use serde_json::{Value, json};

/// A fault of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderFault {
    /// 429 with a Retry-After of a second.
    RateLimited,
    /// 500.
    ServerError,
    /// 200 with a body that is no JSON.
    NotJson,
    /// The connection is closed within the body.
    ConnectionCut,
    /// One embedding is missing.
    OneMissing,
    /// 401 with the key in its message.
    Unauthorized,
    /// No response.
    NoResponse,
}

/// The provider. Each injected fault happens once; after them it answers.
#[derive(Clone)]
pub struct Provider {
    pub url: String,
    faults: Arc<Mutex<VecDeque<ProviderFault>>>,
    requests: Arc<Mutex<Vec<Value>>>,
}

#[derive(Deserialize)]
struct Body {
    model: String,
    input: Vec<String>,
}

impl Provider {
    pub fn start(model: Arc<dyn Embedder>) -> Self {
        let mut provider = Self {
            url: String::new(),
            faults: Arc::default(),
            requests: Arc::default(),
        };
        let data = web::Data::new((provider.clone(), model));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(web::JsonConfig::default().limit(1 << 20))
                .route("/v1/embeddings", web::post().to(answer))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
        provider.url = format!("http://{}/v1", server.addrs()[0]);
        tokio::spawn(server.run());
        provider
    }

    /// Adds faults for the next requests.
    pub fn inject(&self, faults: &[ProviderFault]) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// The requests so far: key, model and number of texts.
    pub fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(
    request: HttpRequest,
    web::Json(body): web::Json<Body>,
    data: web::Data<(Provider, Arc<dyn Embedder>)>,
) -> HttpResponse {
    let (provider, model) = &**data;
    let key = request.headers().get("authorization");
    let key = key.map(|key| key.to_str().unwrap().to_owned());
    let asked = json!({ "key": key, "model": body.model, "texts": body.input.len() });
    provider.requests.lock().unwrap().push(asked);
    let fault = provider.faults.lock().unwrap().pop_front();
    let is_short = match fault {
        Some(ProviderFault::RateLimited) => {
            return HttpResponse::TooManyRequests()
                .insert_header(("retry-after", "1"))
                .json(json!({ "error": { "message": "Rate limit reached" } }));
        }
        Some(ProviderFault::ServerError) => {
            return HttpResponse::InternalServerError().body("oops");
        }
        Some(ProviderFault::NotJson) => return HttpResponse::Ok().body("<html>Welcome</html>"),
        Some(ProviderFault::ConnectionCut) => {
            let half = async { Err::<web::Bytes, _>(std::io::Error::other("cut")) };
            return HttpResponse::Ok().streaming(futures_util::stream::once(Box::pin(half)));
        }
        Some(ProviderFault::Unauthorized) => {
            let message = format!("Incorrect API key provided: {}", key.unwrap_or_default());
            return HttpResponse::Unauthorized().json(json!({ "error": { "message": message } }));
        }
        Some(ProviderFault::NoResponse) => std::future::pending().await,
        Some(ProviderFault::OneMissing) => true,
        None => false,
    };
    // Query priority: that thread is not used by the files of other tests.
    let embeddings = model.embed(body.input, Purpose::Query).await.unwrap();
    let items = embeddings.iter().enumerate().skip(usize::from(is_short));
    // The order is arbitrary; `index` is what counts.
    let items: Vec<_> = items
        .map(|(index, embedding)| json!({ "object": "embedding", "index": index, "embedding": embedding.0 }))
        .rev()
        .collect();
    HttpResponse::Ok().json(json!({ "object": "list", "data": items, "model": body.model }))
}
