//! Errors of the database.

use diesel::result::{DatabaseErrorKind, Error as Diesel};
use patchbay_domain::text::without_quotes;

/// An error of the database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection became free in time, or none could be opened.
    #[error("no database connection: {0}")]
    Unavailable(String),
    /// A unique constraint, by name, was violated.
    #[error("unique constraint {0}")]
    Unique(String),
    /// A foreign key, by name, was violated.
    #[error("foreign key {0}")]
    ForeignKey(String),
    /// The database lacks something that only its owner can create, or its URL cannot be used; the message says why.
    #[error("{0}")]
    Unfit(String),
    /// A value that no column can store, which validation should have refused.
    #[error("a value cannot be stored: {0}")]
    Unstorable(String),
    /// A column holds a value that its type does not have; the message names the column and the value.
    #[error("a column cannot be read: {0}")]
    Unreadable(String),
    /// Another process has taken the job over, so nothing is written.
    #[error("the job's claim was lost")]
    ClaimLost,
    /// Anything else: a defect, or a fault of the server. PostgreSQL's message may quote values.
    #[error("database: {}", without_quotes(&.0.to_string()))]
    Other(Diesel),
}

/// Prefixes of PostgreSQL's messages when it shuts down, starts, or cancels a statement (SQLSTATE class 57, which
/// diesel does not expose).
const INTERVENTION: [&str; 3] = [
    "terminating connection",
    "the database system is",
    "canceling statement due to",
];

/// The same for invalid values (SQLSTATE class 22): NUL and other bytes that are no text, and numbers and times
/// out of range.
const UNSTORABLE: [&str; 8] = [
    "invalid byte sequence for encoding",
    "unsupported Unicode escape sequence",
    "value too long for type",
    "smallint out of range",
    "integer out of range",
    "bigint out of range",
    "timestamp out of range",
    "date/time field value out of range",
];

/// A result of the database.
pub type Result<T> = std::result::Result<T, Error>;

/// The name of a constraint as the schema has it: on a distributed table, the number of the shard follows.
fn without_shard(name: &str) -> &str {
    match name.rsplit_once('_') {
        // The first shard of a cluster has six digits.
        Some((base, shard))
            if shard.len() >= 6 && shard.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            base
        }
        _ => name,
    }
}

impl From<Diesel> for Error {
    fn from(error: Diesel) -> Self {
        let constraint = |info: &dyn diesel::result::DatabaseErrorInformation| {
            without_shard(info.constraint_name().unwrap_or_default()).to_owned()
        };
        match &error {
            Diesel::DatabaseError(kind, info) => match kind {
                DatabaseErrorKind::UniqueViolation => Self::Unique(constraint(&**info)),
                DatabaseErrorKind::ForeignKeyViolation => Self::ForeignKey(constraint(&**info)),
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
                    Self::Unavailable(info.message().to_owned())
                }
                _ if INTERVENTION
                    .iter()
                    .any(|words| info.message().starts_with(words)) =>
                {
                    Self::Unavailable(info.message().to_owned())
                }
                _ if UNSTORABLE
                    .iter()
                    .any(|words| info.message().starts_with(words)) =>
                {
                    Self::Unstorable(info.message().to_owned())
                }
                _ => Self::Other(error),
            },
            Diesel::DeserializationError(cause) => {
                let source = cause.source().map(|source| format!(": {source}"));
                Self::Unreadable(format!("{cause}{}", source.unwrap_or_default()))
            }
            _ => Self::Other(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_named_without_their_shard() {
        for (found, name) in [
            (
                "inbound_mappings_number_key_102631",
                "inbound_mappings_number_key",
            ),
            ("inbound_mappings_number_key", "inbound_mappings_number_key"),
            ("users_pkey1_102008", "users_pkey1"),
            ("users_pkey_1", "users_pkey_1"),
            ("", ""),
        ] {
            assert_eq!(without_shard(found), name);
        }
    }
}
