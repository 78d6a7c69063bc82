//! Metadata of a request.

use std::net::IpAddr;

use actix_web::{HttpMessage as _, HttpRequest, web};
use patchbay_domain::TenantId;
use patchbay_service::{Error, Result};

use crate::{app::App, routing::Match};

/// Id and client address of a request; set by the envelope.
#[derive(Clone, Debug)]
pub struct RequestMeta {
    /// Id of the request.
    pub id: String,
    /// Address of the client.
    pub address: Option<IpAddr>,
}

impl RequestMeta {
    /// Returns the metadata of this request.
    pub fn of(request: &HttpRequest) -> Self {
        request.extensions().get().cloned().unwrap_or(Self {
            id: String::new(),
            address: None,
        })
    }
}

/// Returns the server's state.
pub fn app_state(request: &HttpRequest) -> Result<&web::Data<App>> {
    let app = request.app_data::<web::Data<App>>();
    app.ok_or_else(|| Error::internal("no state"))
}

/// Returns the tenant of the path, if it has one; 404 if the id is malformed, as for an unknown tenant.
pub fn path_tenant(request: &HttpRequest) -> Result<Option<TenantId>> {
    let found = Match::of(request);
    match found.as_ref().and_then(|found| found.value("tenant_id")) {
        Some(text) => text.parse().map(Some).map_err(|_| Error::not_found()),
        None => Ok(None),
    }
}
