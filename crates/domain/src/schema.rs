//! The only part of utoipa's private interface that hand-written schemas need: `ComposeSchema`, which every
//! `ToSchema` must implement, is exported by `__dev` alone.

pub use utoipa::__dev::ComposeSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// The schema of a text of `min` to `max` characters.
pub(crate) fn text(min: usize, max: usize) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    text.min_length(Some(min)).max_length(Some(max))
}
