//! From bytes to chunks: detection of the kind, text extraction and chunking.
//!
//! The input is untrusted and may crash its parser: run this in a process of its own.

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
    /// Page, slide or sheet, from 1; none if the document has none.
    pub page: Option<u32>,
    /// The text.
    pub text: String,
    /// Whether headings and lists in it are in Markdown.
    pub is_markdown: bool,
}

/// Why no text could be extracted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable code.
    pub code: &'static str,
    /// Message for a person.
    pub detail: String,
}

impl Failure {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    /// The failure of a file that cannot be read. What a parser says is about its code, and not shown.
    pub fn damaged() -> Self {
        let detail =
            "The file cannot be read: it is damaged, or its format deviates from the standard.";
        Self::new("damaged", detail)
    }
}

/// Called with the number of pages that are done, and of all pages.
pub type Progress<'a> = &'a mut dyn FnMut(u32, u32);
