//! What is known of a request before anybody looks at it.

use std::net::IpAddr;

use actix_web::{HttpMessage as _, HttpRequest, web};
use patchbay_domain::TenantId;
use patchbay_service::{Error, Result};

use crate::app::App;

/// Id and origin of a request; put there by the envelope.
#[derive(Clone, Debug)]
pub struct RequestMeta {
    /// Id of the request.
    pub id: String,
    /// Address of the client.
    pub address: Option<IpAddr>,
}

impl RequestMeta {
    /// The meta of this request.
    pub fn of(request: &HttpRequest) -> Self {
        request.extensions().get().cloned().unwrap_or(Self {
            id: String::new(),
            address: None,
        })
    }
}

/// The server's state.
pub fn app_of(request: &HttpRequest) -> Result<&web::Data<App>> {
    let app = request.app_data::<web::Data<App>>();
    app.ok_or_else(|| Error::internal("no state"))
}

/// The tenant in the path, if there is one; the same 404 where it is malformed as where it is unknown.
pub fn path_tenant(request: &HttpRequest) -> Result<Option<TenantId>> {
    match request.match_info().get("tenant_id") {
        Some(text) => text.parse().map(Some).map_err(|_| Error::not_found()),
        None => Ok(None),
    }
}
