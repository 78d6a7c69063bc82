//! Email addresses.

use std::ops::Deref;

use email_address::{EmailAddress, Options};
use serde::{Deserialize, Deserializer, Serialize};

use crate::invalid::Invalid;

/// An address such as `ada@example.org`, stored as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Validates an address.
    pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        let rules = Options::default()
            .with_required_tld()
            .without_display_text()
            .without_domain_literal();
        match EmailAddress::parse_with_options(&text, rules) {
            Ok(_) if text.len() <= 254 => Ok(Self(text)),
            _ => Err(Invalid::new("invalid_email", "this is no email address")),
        }
    }

    /// The lowercase form, by which addresses are compared.
    pub fn lower(&self) -> String {
        self.0.to_lowercase()
    }

    /// The plain string.
    pub fn into_inner(self) -> String {
        self.0
    }
}

impl Deref for Email {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
mod schema {
    use utoipa::{
        ToSchema,
        openapi::{
            RefOr,
            schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type},
        },
    };

    use crate::schema::ComposeSchema;

    use super::Email;

    impl ComposeSchema for Email {
        fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Email)))
                .max_length(Some(254))
                .into()
        }
    }
    impl ToSchema for Email {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_name_and_a_domain() {
        assert_eq!(
            Email::new("Ada@Example.org").unwrap().lower(),
            "ada@example.org"
        );
        for wrong in [
            "",
            "ada",
            "ada@",
            "@example.org",
            "ada@localhost",
            "a b@example.org",
            "Ada <a@b.c>",
        ] {
            assert!(Email::new(wrong).is_err(), "{wrong}");
        }
    }
}
