//! What is known of a request before anybody looks at it.

use std::net::IpAddr;

use actix_web::{HttpMessage as _, HttpRequest};

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
