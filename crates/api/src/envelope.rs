//! The outermost middleware: request id, tracing span, access log, time limit and security headers. It also
//! converts panics and the framework's own errors to problems, so that all errors have the same form.

use std::time::Duration;

use actix_web::{
    Error, HttpMessage as _, HttpResponse,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    rt::time::timeout,
    web,
};
use patchbay_domain::tool::MAX_TIMEOUT_SECONDS;
use patchbay_service::{Error as ServiceError, panics::catch_panic, rates::RateState};
use tracing::{Instrument as _, field::Empty};

use crate::{
    address,
    app::App,
    error::{ApiError, PROBLEM_JSON},
    extract::request::RequestMeta,
    openapi::TimeLimit,
    rates,
    router::TimeLimits,
    telemetry,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The middleware.
pub async fn envelope<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let started = std::time::Instant::now();
    let meta = RequestMeta {
        id: request_id(&request),
        address: request.peer_addr().map(|peer| {
            let trusted = request.app_data::<web::Data<App>>();
            let trusted = trusted.map_or(&[][..], |app| &app.settings.trusted_proxies);
            address::client(peer.ip(), request.headers(), trusted)
        }),
    };
    request.extensions_mut().insert(meta.clone());
    let span = tracing::info_span!(
        "request",
        otel.name = Empty,
        otel.kind = "server",
        request_id = %meta.id,
        method = %request.method(),
        route = Empty,
        tenant_id = Empty,
        status = Empty,
    );
    telemetry::continue_trace(&span, request.headers());
    let route = request.match_pattern().unwrap_or_default();
    span.record("route", &*route);
    span.record("otel.name", format!("{} {route}", request.method()));
    let log_completion = |status: u16| {
        span.record("status", status);
        let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
        tracing::info!(parent: &span, duration_ms, "request completed");
    };
    let limit = time_limit(&request);
    let served = catch_panic(next.call(request));
    let outcome = timeout(limit, served.instrument(span.clone())).await;
    let fail = |error: &dyn Fn() -> ApiError| {
        let error = span.in_scope(error);
        log_completion(error.code().status());
        Err(error_response(error, &meta))
    };
    let mut response = match outcome {
        Ok(Ok(Ok(response))) => finalize(response, &meta),
        Ok(Ok(Err(error))) => return fail(&|| as_api_error(&error)),
        Ok(Err(panicked)) => return fail(&|| ServiceError::internal(panicked).into()),
        Err(_) => return fail(&|| ApiError::timed_out(limit)),
    };
    let state = response.request().extensions().get::<RateState>().cloned();
    if let Some(state) = state {
        rates::write(&state, response.headers_mut());
    }
    let is_page = response.request().path().starts_with("/docs");
    set_headers(response.headers_mut(), &meta, is_page);
    log_completion(response.status().as_u16());
    Ok(response)
}

/// The time limit of the request's route.
fn time_limit(request: &ServiceRequest) -> Duration {
    let Some(app) = request.app_data::<web::Data<App>>() else {
        return Duration::MAX;
    };
    let settings = &app.settings;
    let standard = settings.service.request_timeout;
    let pattern = request.match_pattern().unwrap_or_default();
    let limits = request.app_data::<web::Data<TimeLimits>>();
    let route = (request.method().clone(), pattern);
    match limits.and_then(|limits| limits.get(&route)) {
        None | Some(TimeLimit::Standard) => standard,
        Some(TimeLimit::Tool) => standard + Duration::from_secs(MAX_TIMEOUT_SECONDS.into()),
        Some(TimeLimit::Upload) => standard + settings.service.knowledge.upload_timeout,
    }
}

/// The client's request id if it is well-formed (1 to 128 letters, digits and `-_.:`), otherwise a new one.
fn request_id(request: &ServiceRequest) -> String {
    let header = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    match header {
        Some(id) if (1..=128).contains(&id.len()) && id.chars().all(plain) => id.to_owned(),
        _ => request
            .app_data::<web::Data<App>>()
            .map_or_else(String::new, |app| app.service.clock.new_uuid().to_string()),
    }
}

fn as_api_error(error: &Error) -> ApiError {
    ApiError::of_status(error.as_response_error().status_code())
}

/// The error with a complete response; used where the request has been consumed.
fn error_response(error: ApiError, meta: &RequestMeta) -> Error {
    let mut response = error.response(&meta.id);
    set_headers(response.headers_mut(), meta, false);
    InternalError::from_response(error, response).into()
}

/// Adds the request id to errors, and converts the framework's own errors to problems.
fn finalize<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
    meta: &RequestMeta,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response.map_into_left_body();
    }
    let problem = response
        .response()
        .error()
        .and_then(|error| error.as_error::<ApiError>())
        .map(|error| error.response(&meta.id));
    // Already a problem, or a regular body with an error status, such as that of readiness.
    let is_complete = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == PROBLEM_JSON || value == "application/json");
    let replacement: HttpResponse = match problem {
        Some(problem) => problem,
        None if is_complete => return response.map_into_left_body(),
        None => ApiError::of_status(status).response(&meta.id),
    };
    response.into_response(replacement).map_into_right_body()
}

fn set_headers(headers: &mut HeaderMap, meta: &RequestMeta, is_page: bool) {
    if let Ok(id) = HeaderValue::from_str(&meta.id) {
        headers.insert(REQUEST_ID, id);
    }
    let policy = if is_page {
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
    } else {
        "default-src 'none'; frame-ancestors 'none'"
    };
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", policy),
        ("cache-control", "no-store"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
}
