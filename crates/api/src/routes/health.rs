//! Liveness and readiness checks, without authentication.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, http::StatusCode, web};
use patchbay_persistence::workers::Totals;
use patchbay_service::{Error, Result, checks, workers};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    error::ApiError,
    failure::Failure,
    openapi::{Describe, Doc, Operation, Tag},
    response::{Entity, Resource, Respond},
    router::Api,
};

/// Application state for handlers without authentication.
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

/// Status of the service or of a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// It works.
    Ok,
    /// It does not work.
    Down,
}

impl HealthStatus {
    const fn of(ok: bool) -> Self {
        if ok { Self::Ok } else { Self::Down }
    }
}

/// Result of the liveness check.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "ok", "version": "0.1.0", "uptime_seconds": 42}))]
pub struct Health {
    /// Always `ok`.
    status: HealthStatus,
    /// Version of the service.
    #[schema(max_length = 50)]
    version: String,
    /// Seconds since the process started.
    #[schema(minimum = 0)]
    uptime_seconds: u64,
}

impl Resource for Health {}

/// Result of the readiness check.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "status": "ok",
    "checks": [{"name": "postgresql", "status": "ok", "latency_ms": 0.4, "error": null}],
    "workers": {"alive": 2, "capacity": 100, "running": 3}
}))]
pub struct Readiness {
    /// `down` if a check has failed or the process is shutting down.
    status: HealthStatus,
    /// One entry for each of `postgresql`, `migrations`, `livekit`, `object_store` if one is configured, and
    /// `background`, the background tasks.
    #[schema(max_items = 10)]
    checks: Vec<Check>,
    /// Registered workers that are alive, which do not affect the status: others may run without having registered. Null
    /// if the database does not answer.
    workers: Option<Workers>,
}

/// Totals of the registered workers that are alive.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"alive": 2, "capacity": 100, "running": 3}))]
pub struct Workers {
    /// Number of workers.
    #[schema(minimum = 0)]
    alive: i64,
    /// Number of jobs that they can run at a time.
    #[schema(minimum = 0)]
    capacity: i64,
    /// Number of jobs that they run.
    #[schema(minimum = 0)]
    running: i64,
}

impl From<Totals> for Workers {
    fn from(totals: Totals) -> Self {
        let Totals {
            workers,
            capacity,
            running,
        } = totals;
        Self {
            alive: workers,
            capacity,
            running,
        }
    }
}

/// Result of one check.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"name": "postgresql", "status": "ok", "latency_ms": 0.4, "error": null}))]
pub struct Check {
    /// Name of the check.
    #[schema(max_length = 50)]
    name: String,
    /// Whether the check has passed.
    status: HealthStatus,
    /// Duration of the check in milliseconds.
    latency_ms: f64,
    /// Why the check has failed; null if it has passed.
    error: Option<Failure>,
}

impl Respond for Readiness {
    async fn respond(self, _: &HttpRequest) -> HttpResponse {
        let status = if self.status == HealthStatus::Ok {
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
        operation.response(200, "Ready.", &[], content.clone());
        operation.override_response(503, "Not ready.", content);
    }
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Service);
    api.add(
        "/health",
        get_health,
        Doc::get("getHealth", "Check liveness").about(
            "Returns 200 while the process is running. Requires neither an API key nor the \
             database.",
        ),
    );
    api.add(
        "/health/ready",
        get_readiness,
        Doc::get("getReadiness", "Check readiness").about(
            "Checks PostgreSQL, migrations, LiveKit, the object store and the background tasks. \
             Returns 503 if a check fails, and as soon as the process begins to shut down.",
        ),
    );
}

async fn get_health(State(app): State) -> Result<Entity<Health>> {
    Ok(Entity(Health {
        status: HealthStatus::Ok,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: app.started.elapsed().as_secs(),
    }))
}

async fn get_readiness(State(app): State) -> Result<Readiness> {
    let mut results = checks::run_all(&app.service).await;
    let fatal = app
        .fatal_error
        .get()
        .map(|fault| anyhow::anyhow!("{fault}"));
    let fatal = fatal.map(checks::Fault::from);
    results.push(checks::Check {
        name: "background",
        fault: fatal,
        latency: Duration::ZERO,
    });
    let checks: Vec<_> = results.into_iter().map(Check::from).collect();
    let draining = app.draining.load(Ordering::Relaxed);
    let workers = workers::totals(&app.service).await.ok();
    let ok = !draining && checks.iter().all(|check| check.status == HealthStatus::Ok);
    Ok(Readiness {
        status: HealthStatus::of(ok),
        checks,
        workers: workers.map(Workers::from),
    })
}

impl From<checks::Check> for Check {
    fn from(check: checks::Check) -> Self {
        // The endpoint is public, so the cause is only logged.
        let error = check.fault.map(|fault| {
            tracing::warn!(cause = %format!("{:#}", fault.cause), "readiness check failed");
            Failure::new(Failure::FAILED, fault.public_message)
        });
        Self {
            name: check.name.to_owned(),
            status: HealthStatus::of(error.is_none()),
            latency_ms: check.latency.as_secs_f64() * 1000.0,
            error,
        }
    }
}
