//! Parts of schemas that utoipa cannot derive.

use std::borrow::Cow;

/// The only part of utoipa's private interface that hand-written schemas need: every `ToSchema` must implement it, and
/// `__dev` alone exports it.
pub use utoipa::__dev::ComposeSchema;
pub use utoipa::ToSchema;
use utoipa::openapi::{
    Ref,
    schema::{AnyOfBuilder, ObjectBuilder, SchemaFormat, Type},
};
pub use utoipa::openapi::{RefOr, schema::Schema};

/// Maximum length of a word that is not known yet.
const MAX_WORD: usize = 100;

/// The schema of a text of `min` to `max` characters.
pub(crate) fn text(min: usize, max: usize) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    text.min_length(Some(min)).max_length(Some(max))
}

/// A format that no standard defines.
pub(crate) fn custom_format(name: &str) -> SchemaFormat {
    SchemaFormat::Custom(name.to_owned())
}

/// The schema of a word out of these.
pub fn closed<'a>(words: impl IntoIterator<Item = &'a str>) -> RefOr<Schema> {
    let word = ObjectBuilder::new().schema_type(Type::String);
    word.enum_values(Some(words)).into()
}

/// The schema of a word of the component `known`, or of any other.
pub fn open(known: &str) -> RefOr<Schema> {
    let other = ObjectBuilder::new().schema_type(Type::String);
    let words = AnyOfBuilder::new()
        .item(Ref::from_schema_name(known))
        .item(other.max_length(Some(MAX_WORD)));
    RefOr::T(Schema::AnyOf(words.build()))
}

/// A component's name for the type of an open vocabulary, whose schema is inlined.
pub fn open_name(known: &str) -> Cow<'static, str> {
    format!("Open{known}").into()
}

/// Declares the schema of a string with known words, to which later versions may add some. The known ones become a
/// component of this name, so that generators make a type of them.
#[macro_export]
macro_rules! vocabulary {
    ($(#[$meta:meta])* pub struct $name:ident = $words:expr) => {
        $(#[$meta])*
        pub struct $name;

        impl $crate::schema::ComposeSchema for $name {
            fn compose(
                _: Vec<$crate::schema::RefOr<$crate::schema::Schema>>,
            ) -> $crate::schema::RefOr<$crate::schema::Schema> {
                $crate::schema::open(stringify!($name))
            }
        }

        impl $crate::schema::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                $crate::schema::open_name(stringify!($name))
            }

            fn schemas(
                all: &mut Vec<(
                    String,
                    $crate::schema::RefOr<$crate::schema::Schema>,
                )>,
            ) {
                all.push((stringify!($name).to_owned(), $crate::schema::closed($words)));
            }
        }
    };
}
