//! PDF, page by page.

use std::ops::ControlFlow;

use unpdf::{Error, PageStreamOptions, ParseEvent, ParseOptions, PdfParser};

use unicode_normalization::UnicodeNormalization as _;

use crate::{Failure, Part, Progress};

/// A hyphen before one of these words is a suspended hyphen.
const JOINING: [&str; 14] = [
    "and", "or", "to", "nor", "und", "oder", "bis", "sowie", "bzw", "et", "ou", "y", "o", "e",
];

/// The texts of the pages.
pub fn parts(bytes: &[u8], progress: Progress<'_>) -> Result<Vec<Part>, Failure> {
    let options = ParseOptions::new().sequential();
    let parser = PdfParser::from_bytes_with_options(bytes, options).map_err(failure)?;
    let mut parts = Vec::new();
    let mut pages = 0;
    let options = PageStreamOptions {
        parallel: false,
        extract_resources: false,
        ..PageStreamOptions::default()
    };
    let read = parser.for_each_page(options, |event| {
        match event {
            ParseEvent::DocumentStart { page_count, .. } => pages = page_count,
            ParseEvent::PageParsed(page) => {
                parts.push(Part {
                    page: Some(page.number),
                    text: readable(&page.plain_text()),
                    is_markdown: false,
                });
                progress(page.number, pages);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    read.map_err(failure)?;
    Ok(parts)
}

/// Replaces ligatures and the radicals that Chinese fonts use instead of characters, and joins words that were
/// hyphenated at the end of a line.
pub(crate) fn readable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{fb00}'..='\u{fb06}' | '\u{2e80}'..='\u{2fdf}' => plain.extend(c.nfkc()),
            c => plain.push(c),
        }
    }
    joined(&plain)
}

/// Removes hyphens between the parts of a word, but not suspended hyphens as in "short- and long-term".
fn joined(text: &str) -> String {
    let (mut whole, mut done) = (String::with_capacity(text.len()), 0);
    for (at, _) in text.match_indices('-') {
        let (before, after) = (&text[done..at], &text[at + 1..]);
        let Some(after) = after.strip_prefix([' ', '\n']) else {
            continue;
        };
        let word = after.split(|c: char| !c.is_alphanumeric()).next();
        let word = word.unwrap_or_default();
        let is_cut = before.ends_with(char::is_lowercase)
            && word.starts_with(char::is_lowercase)
            && !JOINING.contains(&word);
        if is_cut {
            whole.push_str(before);
            done = at + 2;
        }
    }
    whole + &text[done..]
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Encrypted | Error::InvalidPassword => {
            let detail = "The PDF is protected with a password: save it without one.";
            Failure::new("encrypted_pdf", detail)
        }
        _ => Failure::damaged(),
    }
}
