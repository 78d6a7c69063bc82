//! Liveness and readiness. Neither needs a key.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, http::StatusCode, web};
use patchbay_service::{Error, Result, checks};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::{Entity, Resource, Respond},
    app::App,
    error::ApiError,
    openapi::{Describe, Doc, Operation, Tag},
    router::Api,
};

/// The service's state for handlers that need no caller.
pub struct State(pub Arc<App>);

impl FromRequest for State {
    type Error = ApiError;
    type Future = std::future::Ready<std::result::Result<Self, ApiError>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let app = request.app_data::<web::Data<App>>();
        std::future::ready(match app {
            Some(app) => Ok(Self(Arc::clone(app))),
            None => Err(Error::internal("no state").into()),
        })
    }
}

impl Describe for State {
    fn describe(operation: &mut Operation) {
        operation.set("security", serde_json::json!([]));
    }
}

/// That the process lives.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "ok", "version": "0.1.0", "uptime_seconds": 42}))]
pub struct Health {
    /// Always `ok`.
    #[schema(max_length = 20)]
    status: String,
    /// Version of the binary.
    #[schema(max_length = 50)]
    version: String,
    /// Seconds since the process started.
    #[schema(minimum = 0)]
    uptime_seconds: u64,
}

impl Resource for Health {}

/// Whether the service can do its work.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "status": "ok",
    "checks": [{"name": "postgresql", "status": "ok", "latency_ms": 0.4, "detail": null}]
}))]
pub struct Readiness {
    /// `ok`, or `down` when a check is down or the process is ending.
    #[schema(max_length = 20)]
    status: String,
    /// One entry for each of `postgresql`, `migrations`, `livekit`, where one is set `object_store`, and
    /// `background`: what works beside the requests.
    #[schema(max_items = 10)]
    checks: Vec<Check>,
}

/// One dependency.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"name": "postgresql", "status": "ok", "latency_ms": 0.4, "detail": null}))]
pub struct Check {
    /// What was checked.
    #[schema(max_length = 50)]
    name: String,
    /// `ok` or `down`.
    #[schema(max_length = 20)]
    status: String,
    /// How long the check took, in milliseconds.
    latency_ms: f64,
    /// What is wrong; null when nothing is.
    #[schema(max_length = 1000)]
    detail: Option<String>,
}

impl Respond for Readiness {
    async fn respond(self, _: &HttpRequest) -> HttpResponse {
        let status = if self.status == "ok" {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        HttpResponse::build(status).json(self)
    }
}

impl Describe for Readiness {
    fn describe(operation: &mut Operation) {
        let content = Some(operation.schema::<Self>());
        operation.answer(200, "Ready.", &[], content.clone());
        operation.answer_last(503, "Something is down.", content);
    }
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Service);
    api.add(
        "/health",
        live,
        Doc::get("getHealth", "Check liveness")
            .about("Answers as long as the process runs. Needs neither key nor database."),
    );
    api.add(
        "/health/ready",
        ready,
        Doc::get("getReadiness", "Check readiness").about(
            "Checks PostgreSQL, migrations, LiveKit, the object store and what works \
                 beside the requests. Fails as soon as the process is asked to end.",
        ),
    );
}

async fn live(State(app): State) -> Result<Entity<Health>> {
    Ok(Entity(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: app.started.elapsed().as_secs(),
    }))
}

async fn ready(State(app): State) -> Result<Readiness> {
    let mut found = checks::all(&app.service).await;
    let broken = app.broken.get().map(|fault| anyhow::anyhow!("{fault}"));
    let broken = broken.map(checks::Fault::from);
    found.push(checks::Check {
        name: "background",
        fault: broken,
        latency: Duration::ZERO,
    });
    let checks: Vec<_> = found.into_iter().map(Check::from).collect();
    let draining = app.draining.load(Ordering::Relaxed);
    let ok = !draining && checks.iter().all(|check| check.status == "ok");
    Ok(Readiness {
        status: if ok { "ok" } else { "down" }.to_owned(),
        checks,
    })
}

impl From<checks::Check> for Check {
    fn from(check: checks::Check) -> Self {
        // Anyone may ask, so the cause goes to the log alone.
        let detail = check.fault.map(|fault| {
            tracing::warn!(cause = %format!("{:#}", fault.cause), "not ready");
            fault.shown
        });
        Self {
            name: check.name.to_owned(),
            status: if detail.is_none() { "ok" } else { "down" }.to_owned(),
            latency_ms: check.latency.as_secs_f64() * 1000.0,
            detail,
        }
    }
}
