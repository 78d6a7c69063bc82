//! Arguments of handlers: each type checks one part of a request and describes itself in the OpenAPI document.

mod caller;
mod flag;
mod idempotency;
pub mod identity;
mod if_match;
mod in_order;
mod json;
mod list;
mod once;
pub mod path;
pub mod request;
pub mod scopes;
mod upload;
pub mod validation;

pub use caller::Caller;
pub use flag::flag;
pub use idempotency::{BodyDigest, IDEMPOTENCY_KEY, IdempotencyKey};
pub use if_match::IfMatch;
pub use in_order::InOrder;
pub use json::{Json, OptionalJson, Patch, read as read_body};
pub use list::{CURSOR, List, NoFilter, Query};
pub use path::{Digest, FunctionName, Path, SecretName, WorkerId};
pub use upload::{Upload, UploadQuery, digest as upload_digest};
