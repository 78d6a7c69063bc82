//! OpenAPI schemas of texts.

use std::borrow::Cow;

use utoipa::{
    ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use crate::schema::ComposeSchema;

use super::{bounded::Text, one_line::OneLine, slug::Slug};

impl<const MIN: usize, const MAX: usize> ComposeSchema for Text<MIN, MAX> {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(MIN))
            .max_length(Some(MAX))
            .into()
    }
}
impl<const MIN: usize, const MAX: usize> ToSchema for Text<MIN, MAX> {
    fn name() -> Cow<'static, str> {
        // Every combination of lengths is a schema of its own.
        format!("Text{MIN}To{MAX}").into()
    }
}

impl<const MIN: usize, const MAX: usize> ComposeSchema for OneLine<MIN, MAX> {
    fn compose(generics: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        Text::<MIN, MAX>::compose(generics)
    }
}
impl<const MIN: usize, const MAX: usize> ToSchema for OneLine<MIN, MAX> {
    fn name() -> Cow<'static, str> {
        Text::<MIN, MAX>::name()
    }
}

impl ComposeSchema for Slug {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[a-z0-9][a-z0-9-]*[a-z0-9]$"))
            .min_length(Some(2))
            .max_length(Some(63))
            .into()
    }
}
impl ToSchema for Slug {}
