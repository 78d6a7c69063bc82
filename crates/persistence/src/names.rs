//! Search by the beginning of a name.

use diesel::{define_sql_function, sql_types::Text};

define_sql_function! {
    /// The text in lower case.
    fn lower(text: Text) -> Text;
}

define_sql_function! {
    /// Whether the text begins with this.
    fn starts_with(text: Text, beginning: Text) -> Bool;
}
