//! A proxy for the real LiveKit that injects faults on demand.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, body::MessageBody as _, web};
use livekit_protocol as proto;
use prost::Message as _;
use serde_json::json;

use super::{
    app::{environment, install_crypto},
    exchange::Exchange,
};

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Forward it.
    None,
    /// Never answer.
    Hang,
    /// Respond with 500.
    Broken,
    /// Respond with 500 and a message that repeats the request.
    Telling,
    /// Respond with 503 once, as for a room that no node has, and forward from then on.
    NoNode,
    /// Respond with a body that is no protobuf.
    Garbage,
    /// Forward it and lose the response: it takes effect, but the service does not know.
    Lost,
    /// Forward it only once another fault is set.
    Held,
    /// Of `ListDispatch`: a worker has taken every dispatch.
    Taken,
    /// Of `ListDispatch`: a worker has refused every dispatch for good.
    Refused,
}

struct State {
    faults: Mutex<Vec<(String, Fault)>>,
    calls: Mutex<Vec<String>>,
    exchange: Exchange,
    http: reqwest::Client,
    real: String,
}

impl State {
    fn fault_of(&self, method: &str) -> Fault {
        let faults = self.faults.lock().unwrap();
        let mut faults = faults.iter();
        let found = faults.find(|(known, _)| *known == method);
        found.map_or(Fault::None, |(_, fault)| *fault)
    }
}

/// The dispatches of a response, each with a job in this state.
fn with_jobs(response: &[u8], status: proto::JobStatus) -> Vec<u8> {
    let mut list = proto::ListAgentDispatchResponse::decode(response).unwrap();
    for dispatch in &mut list.agent_dispatches {
        let state = dispatch.state.get_or_insert_default();
        let mut job = proto::Job::default();
        job.state.get_or_insert_default().status = status.into();
        state.jobs.push(job);
    }
    list.encode_to_vec()
}

/// The proxy; it forwards everything as long as no fault is set.
#[derive(Clone)]
pub struct FakeLiveKit {
    pub url: String,
    state: Arc<State>,
}

impl FakeLiveKit {
    pub fn start() -> Self {
        install_crypto();
        let state = Arc::new(State {
            faults: Mutex::default(),
            calls: Mutex::default(),
            exchange: Exchange::default(),
            http: reqwest::Client::new(),
            real: environment("LIVEKIT_URL").replacen("ws", "http", 1),
        });
        let data = web::Data::from(Arc::clone(&state));
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
        Self { url, state }
    }

    /// Sets the fault of a method.
    pub fn set(&self, method: &str, fault: Fault) {
        let mut faults = self.state.faults.lock().unwrap();
        faults.retain(|(known, _)| known != method);
        faults.push((method.to_owned(), fault));
    }

    /// The fake telephony behind it.
    pub fn exchange(&self) -> &Exchange {
        &self.state.exchange
    }

    /// How often a method was called.
    pub fn calls(&self, method: &str) -> usize {
        let calls = self.state.calls.lock().unwrap();
        calls.iter().filter(|called| *called == method).count()
    }
}

async fn answer(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let method = request
        .path()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    state.calls.lock().unwrap().push(method.clone());
    let fault = state.fault_of(&method);
    match fault {
        Fault::Hang => std::future::pending().await,
        Fault::NoNode => {
            let mut faults = state.faults.lock().unwrap();
            faults.retain(|(known, _)| *known != method);
            HttpResponse::ServiceUnavailable().body("no response from servers")
        }
        Fault::Broken => HttpResponse::InternalServerError().body("out of order"),
        Fault::Telling => {
            let words = String::from_utf8_lossy(&body).into_owned();
            HttpResponse::InternalServerError().json(json!({ "code": "internal", "msg": words }))
        }
        Fault::Garbage => HttpResponse::Ok().body(vec![0xff; 40]),
        Fault::Taken | Fault::Refused => {
            let answer = forward(&request, body.clone(), &state).await;
            let bytes = answer.into_body().try_into_bytes().unwrap();
            let status = match fault {
                Fault::Taken => proto::JobStatus::JsRunning,
                _ => proto::JobStatus::JsSuccess,
            };
            HttpResponse::Ok().body(with_jobs(&bytes, status))
        }
        Fault::None | Fault::Lost | Fault::Held => {
            while state.fault_of(&method) == Fault::Held {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let answer = match state.exchange.answer(&method, &body).await {
                Some(answer) => answer,
                None => forward(&request, body.clone(), &state).await,
            };
            state.exchange.note(&method, &body);
            if fault == Fault::Lost {
                return HttpResponse::BadGateway().body("lost on the way");
            }
            answer
        }
    }
}

async fn forward(request: &HttpRequest, body: web::Bytes, state: &State) -> HttpResponse {
    let mut forwarded = state.http.post(format!("{}{}", state.real, request.path()));
    for name in ["authorization", "content-type"] {
        if let Some(value) = request.headers().get(name) {
            forwarded = forwarded.header(name, value.as_bytes());
        }
    }
    let answer = forwarded.body(body.clone()).send().await.unwrap();
    let status = actix_web::http::StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let mut bytes = answer.bytes().await.unwrap().to_vec();
    if status.is_success() && request.path().ends_with("/ListParticipants") {
        bytes.extend(state.exchange.present_in(&body));
    }
    HttpResponse::build(status).body(bytes)
}
