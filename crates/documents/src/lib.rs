//! From bytes to chunks: what a file is, the text in it, and the parts that a search can find.
//!
//! Everything here works on bytes of strangers: it is meant to run in a process of its own that may
//! die of them.

mod chunk;
mod extract;
mod kind;
mod mail;
mod office;
mod pdf;
mod plain;
pub mod protocol;
mod subtitles;
mod tables;
mod web;

#[cfg(test)]
mod tests;

pub use chunk::{Chunk, Sizing, chunk};
pub use extract::extract;
pub use kind::{Kind, media_type};

/// A part of a document with its text: a page, a slide, a sheet, or all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Page, slide or sheet, from 1; none where the document has none.
    pub page: Option<u32>,
    /// The text.
    pub text: String,
    /// Whether headings and lists in it are written as Markdown has them.
    pub is_markdown: bool,
}

/// Why a document has no text for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable code.
    pub code: &'static str,
    /// Words for a person.
    pub detail: String,
}

impl Failure {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    fn damaged(error: impl std::fmt::Display) -> Self {
        Self::new("damaged", format!("The file cannot be read: {error}."))
    }
}

/// Told how many pages of how many are done.
pub type Progress<'a> = &'a mut dyn FnMut(u32, u32);
