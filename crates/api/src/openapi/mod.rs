//! The OpenAPI document, generated from the types of handlers.

mod doc;
mod document;
mod names;
mod operation;
mod path_parameter;
mod tag;
mod tidy;

pub use doc::{Doc, TimeLimit};
pub use document::Builder;
pub use names::component_name;
pub use operation::{Describe, Operation};
pub use path_parameter::PathParameter;
pub use tag::Tag;
