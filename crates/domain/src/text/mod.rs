//! Strings that cannot be too short, too long or unprintable.

mod bounded;
mod one_line;
mod quotes;
#[cfg(feature = "openapi")]
mod schema;
mod slug;
#[cfg(test)]
mod tests;

pub use bounded::Text;
pub use one_line::{OneLine, is_unprintable};
pub use quotes::without_quotes;
pub use slug::Slug;

/// Display name.
pub type Name = Text<1, 200>;
/// Description for a person.
pub type Description = Text<0, 2000>;
/// Why a version was created.
pub type Note = Text<0, 1000>;
/// A prompt's template source.
pub type TemplateSource = Text<1, 65_536>;
/// A short machine-readable word, such as an end reason.
pub type Word = Text<1, 64>;
/// Error message of a third party.
pub type Detail = Text<0, 1000>;

/// Whether a text can be a name in templates: a letter or `_`, then letters, digits and `_`, 64 at most.
pub fn is_identifier(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=64).contains(&text.len())
        && text.chars().all(plain)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}
