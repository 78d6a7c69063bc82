//! Ids in the path: a malformed one is the same 404 as one that never existed.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
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
            Ok(path) => Ok(Self(path.into_inner())),
            Err(_) => Err(ApiError::not_found()),
        })
    }
}

impl<T> Describe for Path<T> {
    fn describe(_: &mut Operation) {}
}
