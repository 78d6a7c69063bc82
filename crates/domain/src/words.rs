//! A macro for enums that are a word in the database and on the wire.

/// Defines an enum whose variants are words: `as_str`, parsing, serde, the schema and the text column are derived
/// from one list. An unknown word is an error, never a default.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$of_variant:meta])* $variant:ident = $word:tt,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[cfg_attr(
            feature = "diesel",
            derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
            diesel(sql_type = diesel::sql_types::Text)
        )]
        pub enum $name {
            $($(#[$of_variant])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them, in their order.
            pub const ALL: [Self; { [$($word),+].len() }] = [$(Self::$variant),+];

            /// The word in the database and on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::invalid::Invalid;
            fn from_str(word: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.into_iter().find(|known| known.as_str() == word);
                found.ok_or_else(|| {
                    let message = format!("`{word}` is no {}", stringify!($name));
                    $crate::invalid::Invalid::new("unknown_word", message)
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        #[cfg(feature = "diesel")]
        impl diesel::serialize::ToSql<diesel::sql_types::Text, diesel::pg::Pg> for $name {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
            ) -> diesel::serialize::Result {
                <str as diesel::serialize::ToSql<diesel::sql_types::Text, diesel::pg::Pg>>::to_sql(
                    self.as_str(),
                    out,
                )
            }
        }

        #[cfg(feature = "diesel")]
        impl diesel::deserialize::FromSql<diesel::sql_types::Text, diesel::pg::Pg> for $name {
            fn from_sql(value: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
                let word: String = diesel::deserialize::FromSql::<diesel::sql_types::Text, diesel::pg::Pg>::from_sql(value)?;
                word.parse().map_err(|invalid: $crate::invalid::Invalid| invalid.message.into())
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use crate::{
        artifact::ArtifactKind,
        call::{AnswerDetection, CallState, Direction, HangupBy},
        knowledge::{IngestState, SearchMode, Stage},
        session::{RunState, SessionState},
        sip::Transport,
        states::{
            JobKind, ObjectState, ParticipantKind, SipObjectKind, SyncState, TenantStatus,
            TokenRole,
        },
        transcript::{TurnRole, UsageKind},
    };

    macro_rules! is_its_word {
        ($($name:ident)*) => {$(
            for known in $name::ALL {
                let word = known.as_str();
                assert_eq!(word.parse::<$name>().unwrap(), known);
                assert_eq!(to_value(known).unwrap(), json!(word), stringify!($name));
                assert_eq!(from_value::<$name>(json!(word)).unwrap(), known);
                assert_eq!(known.to_string(), word);
            }
            for wrong in ["", "Created", "unheard_of", " active"] {
                assert!(wrong.parse::<$name>().is_err());
                assert!(from_value::<$name>(json!(wrong)).is_err());
            }
        )*};
    }

    #[test]
    fn every_spelling_of_a_state_is_the_same_word() {
        is_its_word! {
            AnswerDetection ArtifactKind CallState Direction HangupBy IngestState JobKind ObjectState ParticipantKind
            RunState SearchMode SessionState SipObjectKind Stage SyncState TenantStatus TokenRole Transport TurnRole
            UsageKind
        }
    }
}
