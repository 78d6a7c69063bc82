//! OpenAPI schemas of texts.

use std::borrow::Cow;

use utoipa::{
    ToSchema,
    openapi::{RefOr, schema::Schema},
};

use crate::schema::{ComposeSchema, custom_format, text};

use super::{bounded::Text, one_line::OneLine, slug::Slug};

impl<const MIN: usize, const MAX: usize> ComposeSchema for Text<MIN, MAX> {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        // With a minimum, the text is not blank either.
        let pattern = (MIN > 0).then_some(r"\S");
        text(MIN, MAX).pattern(pattern).into()
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
        text(2, 63)
            .pattern(Some("^[a-z0-9][a-z0-9-]*[a-z0-9]$"))
            .format(Some(custom_format("slug")))
            .into()
    }
}
impl ToSchema for Slug {}
