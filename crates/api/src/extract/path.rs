//! Ids and names in the path: a malformed one is the same 404 as one that never existed.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::{
    error::ApiError,
    openapi::{Describe, Operation},
};

/// The ids of the path, in order. The document takes them from the path itself.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Path<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let path = web::Path::<T>::from_request(request, payload).into_inner();
        ready(match path {
            Ok(path) if is_text(request.path()) => Ok(Self(path.into_inner())),
            _ => Err(ApiError::not_found()),
        })
    }
}

/// Whether what is percent-encoded is UTF-8 without NUL: nothing has a name of anything else.
fn is_text(path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8();
    decoded.is_ok_and(|decoded| !decoded.contains('\0'))
}

impl<T> Describe for Path<T> {
    fn describe(_: &mut Operation) {}
}
