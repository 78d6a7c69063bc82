//! PDF, page by page.

use std::ops::ControlFlow;

use unpdf::{Error, PageStreamOptions, ParseEvent, ParseOptions, PdfParser};

use crate::{Failure, Part, Progress};

/// The pages' texts.
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
                    text: page.plain_text(),
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

fn failure(error: Error) -> Failure {
    match error {
        Error::Encrypted | Error::InvalidPassword => {
            let detail = "The PDF is protected with a password: save it without one.";
            Failure::new("encrypted_pdf", detail)
        }
        error => Failure::damaged(error),
    }
}
