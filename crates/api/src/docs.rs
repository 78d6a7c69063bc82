//! The reference page: Scalar, which is compiled in, with the service's own document. Nothing is loaded from elsewhere.

use std::{io::Write as _, sync::LazyLock};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ContentEncoding, VARY},
    web::{self, Bytes},
};
use flate2::{Compression, write::GzEncoder};

/// What the page may do: run its own scripts and call this service. Scalar adds its styles to the page.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Scalar's script, and the same compressed: once for all, since it has several megabytes.
static SCALAR: LazyLock<(Bytes, Bytes)> = LazyLock::new(|| {
    let script = scalar_api_reference::get_asset("scalar.js").unwrap_or_default();
    let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
    let written = compressed.write_all(&script);
    let compressed = written.and_then(|()| compressed.finish());
    (script.into(), compressed.unwrap_or_default().into())
});

/// Adds the page and its scripts.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::redirect("/docs", "/docs/"));
    config.route("/docs/", web::get().to(page));
    config.route("/docs/start.js", web::get().to(start));
    config.route("/docs/samples.js", web::get().to(samples));
    config.route("/docs/scalar.js", web::get().to(scalar));
}

async fn page() -> HttpResponse {
    let page = include_str!("docs/page.html");
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(page)
}

async fn start() -> HttpResponse {
    script(include_str!("docs/start.js"))
}

async fn samples() -> HttpResponse {
    script(include_str!("docs/samples.js"))
}

fn script(script: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/javascript")
        .body(script)
}

async fn scalar(request: HttpRequest) -> actix_web::Result<HttpResponse> {
    let (plain, compressed) = web::block(|| &*SCALAR).await?;
    let accepted = request.headers().get(ACCEPT_ENCODING);
    let accepts_gzip =
        accepted.is_some_and(|value| value.as_bytes().windows(4).any(|w| w == b"gzip"));
    let (encoding, script) = match accepts_gzip {
        true => (ContentEncoding::Gzip, compressed),
        false => (ContentEncoding::Identity, plain),
    };
    Ok(HttpResponse::Ok()
        .content_type("text/javascript")
        .insert_header((CONTENT_ENCODING, encoding))
        .insert_header((VARY, "accept-encoding"))
        // It changes with an upgrade only.
        .insert_header((CACHE_CONTROL, "public, max-age=3600"))
        .body(script.clone()))
}
