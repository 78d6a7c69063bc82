//! The middleware of every request: request id, tracing span, access log and security headers. It also converts the
//! framework's own errors to problems, so that all errors have the same form.

use std::rc::Rc;

use actix_web::{
    Error, HttpMessage as _, HttpResponse,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use patchbay_domain::TenantId;
use patchbay_service::{
    rates::RateState,
    trace::{self, TRACEPARENT},
};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{
    address,
    app::App,
    docs,
    error::{ApiError, PROBLEM_JSON},
    extract::request::RequestMeta,
    instruments::{record_refusal, record_request},
    rates,
    routing::{Match, Router},
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
    let found = request
        .app_data::<web::Data<Router>>()
        .and_then(|router| router.find(request.match_info().as_str()))
        .map(Rc::new);
    if let Some(found) = &found {
        request.extensions_mut().insert(Rc::clone(found));
    }
    let received = request.headers().get(TRACEPARENT);
    let received = received.and_then(|value| trace::parse(value.to_str().ok()?));
    let trace_id = received.as_deref().and_then(trace::trace_id);
    let span = span(&request, &meta, (found.as_deref(), trace_id));
    if trace_id.is_none() {
        trace::record_id(&span);
    }
    let call = next.call(request).instrument(span.clone());
    let response = trace::within(received, &span, call).await?;
    let mut response = finalize(response, &meta);
    let state = response.request().extensions().get::<RateState>().cloned();
    if let Some(state) = state {
        rates::write(&state, response.headers_mut());
    }
    let is_page = response.request().path().starts_with("/docs");
    set_headers(response.headers_mut(), &meta, is_page);
    let status = response.status().as_u16();
    span.set_attribute("status", i64::from(status));
    let took = started.elapsed();
    let route = found.as_ref().map(|found| found.pattern());
    record_request(response.request().method(), route, response.status(), took);
    let duration_ms = took.as_secs_f64() * 1000.0;
    tracing::info!(parent: &span, status, duration_ms, "request completed");
    Ok(response)
}

/// The span of a request. It has its fields from the start, as each that is added later is one more copy of all. The tenant
/// is that of the path, also if the caller turns out to have no access to it.
fn span(
    request: &ServiceRequest,
    meta: &RequestMeta,
    (found, trace_id): (Option<&Match>, Option<&str>),
) -> Span {
    let method = request.method();
    let route = found.map_or_else(
        || request.match_pattern().unwrap_or_default(),
        |found| found.pattern().to_owned(),
    );
    let tenant = found.and_then(|found| found.value("tenant_id")?.parse::<TenantId>().ok());
    tracing::info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        request_id = meta.id,
        method = method.as_str(),
        route,
        tenant_id = tenant.map(tracing::field::display),
        trace_id,
    )
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
        .map(|error| {
            if matches!(status.as_u16(), 429 | 503) {
                record_refusal(error.code().name());
            }
            error.response(&meta.id)
        });
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
        docs::CONTENT_SECURITY_POLICY
    } else {
        "default-src 'none'; frame-ancestors 'none'"
    };
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
