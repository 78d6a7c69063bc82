//! The OpenAPI document, generated from the types of handlers.

mod doc;
mod document;
mod errors;
mod names;
mod operation;
mod path_parameter;
mod references;
mod shared;
mod standalone;
mod tag;
mod tidy;
mod unions;
pub mod vocabulary;

pub use doc::{Doc, TimeLimit};
pub use document::Builder;
pub use names::component_name;
pub use operation::{Describe, Operation};
pub use path_parameter::PathParameter;
pub use standalone::{body_schema, query_schema};
pub use tag::Tag;
