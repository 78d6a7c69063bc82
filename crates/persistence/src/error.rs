//! What can go wrong with the database, as far as callers care.

use diesel::result::{DatabaseErrorKind, Error as Diesel};

/// An error of the database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection became free in time, or none could be made.
    #[error("no database connection: {0}")]
    Unavailable(String),
    /// A unique constraint, by name, refused the row.
    #[error("unique constraint {0}")]
    Unique(String),
    /// A foreign key, by name, refused the change.
    #[error("foreign key {0}")]
    ForeignKey(String),
    /// The database is not as the owner's work needs it; the words say what to do.
    #[error("{0}")]
    Unfit(String),
    /// Anything else; a defect or a fault of the server.
    #[error("database: {0}")]
    Other(Diesel),
}

/// How PostgreSQL's words begin when not the statement is at fault (SQLSTATE class 57, which diesel
/// does not tell): it shuts down, starts, or has waited too long.
const INTERVENTION: [&str; 3] = [
    "terminating connection",
    "the database system is",
    "canceling statement due to",
];

/// A result of the database.
pub type Result<T> = std::result::Result<T, Error>;

impl From<Diesel> for Error {
    fn from(error: Diesel) -> Self {
        let constraint = |info: &dyn diesel::result::DatabaseErrorInformation| {
            info.constraint_name().unwrap_or_default().to_owned()
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
                _ => Self::Other(error),
            },
            _ => Self::Other(error),
        }
    }
}
