//! JSON as it is stored: carried as text, and parsed only where needed.

use serde::{Serialize, Serializer, de::DeserializeOwned, ser::Error as _};
use serde_json::value::RawValue;

/// The text of a JSON value that is read from or written to the database. Returning it in a response costs a
/// copy, whatever its size.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "diesel",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)
)]
#[cfg_attr(feature = "diesel", diesel(sql_type = diesel::sql_types::Jsonb))]
pub struct RawJson(String);

impl RawJson {
    /// The text of a value.
    pub fn of(value: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::to_string(value).map(Self)
    }

    /// Wraps a text that is known to be JSON.
    pub(crate) const fn from_text(text: String) -> Self {
        Self(text)
    }

    /// `{}`.
    pub fn empty_object() -> Self {
        Self("{}".to_owned())
    }

    /// Deserializes the value.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(&self.0)
    }

    /// Length of the text in bytes.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the text is empty, which no JSON value is.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

#[cfg(feature = "diesel")]
mod columns {
    use std::io::Write as _;

    use diesel::{
        deserialize::{self, FromSql},
        pg::{Pg, PgValue},
        serialize::{self, IsNull, Output, ToSql},
        sql_types::Jsonb,
    };

    use super::RawJson;

    /// The version byte of PostgreSQL's binary form of jsonb.
    const VERSION: u8 = 1;

    impl FromSql<Jsonb, Pg> for RawJson {
        fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
            match value.as_bytes().split_first() {
                Some((&VERSION, text)) => Ok(Self(std::str::from_utf8(text)?.to_owned())),
                _ => Err("this version of jsonb is not known".into()),
            }
        }
    }

    impl ToSql<Jsonb, Pg> for RawJson {
        fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
            out.write_all(&[VERSION])?;
            out.write_all(self.0.as_bytes())?;
            Ok(IsNull::No)
        }
    }
}
