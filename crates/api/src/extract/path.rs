//! Ids and names in the path. A malformed one results in the same 404 as one that does not exist.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use patchbay_domain::id::Id;
use patchbay_service::Error;
use percent_encoding::percent_decode_str;
use serde::{
    Deserialize,
    de::{
        DeserializeOwned,
        value::{self, SeqDeserializer},
    },
};
use serde_json::{Value, json};

use crate::{
    error::ApiError,
    openapi::{Describe, Operation, PathParameter},
    routing::Match,
};

/// The parameters of the path, in order.
pub struct Path<T>(pub T);

impl<K> PathParameter for Id<K> {
    fn describe() -> Value {
        json!({
            "schema": { "type": "string", "format": "uuid", "maxLength": 36 },
            "example": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10",
        })
    }
}

/// The name of a secret, not validated.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct SecretName(pub String);

impl PathParameter for SecretName {
    fn describe() -> Value {
        json!({
            "description": "Name of the secret.",
            "schema": { "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "maxLength": 64 },
            "example": "CRM_TOKEN",
        })
    }
}

/// The function name of a tool, not validated.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct FunctionName(pub String);

impl PathParameter for FunctionName {
    fn describe() -> Value {
        json!({
            "description": "Function name of the tool in the configuration of the agent run.",
            "schema": { "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "maxLength": 64 },
            "example": "find_order",
        })
    }
}

/// The digest of a configuration, not validated.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl PathParameter for Digest {
    fn describe() -> Value {
        json!({
            "description": "SHA-256 of the canonical JSON, in lowercase hexadecimal.",
            "schema": { "type": "string", "pattern": "^[0-9a-f]{64}$", "maxLength": 64 },
            "example": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        })
    }
}

/// A phone number, not validated.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Number(pub String);

impl PathParameter for Number {
    fn describe() -> Value {
        json!({
            "description": "Phone number with `+` and country code (E.164).",
            "schema": { "type": "string", "maxLength": 40 },
            "example": "+4930123456",
        })
    }
}

/// The id of a worker, not validated.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct WorkerId(pub String);

impl PathParameter for WorkerId {
    fn describe() -> Value {
        json!({
            "description": "Id that the worker process has chosen, such as its host name with its process id.",
            "schema": { "type": "string", "pattern": "^[A-Za-z0-9._:-]+$", "maxLength": 100 },
            "example": "worker-1",
        })
    }
}

impl<T: DeserializeOwned> FromRequest for Path<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let path = Match::of(request).filter(|_| is_text(request.path()));
        let values = path.and_then(|found| T::deserialize(in_order(found.values())).ok());
        ready(values.map(Self).ok_or_else(|| Error::not_found().into()))
    }
}

/// The values as a sequence.
fn in_order<'a, I: Iterator<Item = &'a str>>(values: I) -> SeqDeserializer<I, value::Error> {
    SeqDeserializer::new(values)
}

/// Whether the decoded path is UTF-8 without NUL; no name contains anything else.
fn is_text(path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8();
    decoded.is_ok_and(|decoded| !decoded.contains('\0'))
}

macro_rules! describe_path {
    ($($part:ident),*) => {
        impl<$($part: PathParameter),*> Describe for Path<($($part,)*)> {
            fn describe(operation: &mut Operation) {
                operation.path(&[$($part::describe),*]);
            }
        }
    };
}
describe_path!(A);
describe_path!(A, B);
describe_path!(A, B, C);
describe_path!(A, B, C, D);
