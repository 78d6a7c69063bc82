//! Word and PowerPoint.

use undoc::{
    Document, Error,
    render::{RenderOptions, SectionMarkerStyle, to_markdown},
};

use crate::{Failure, Part, plain};

/// A Word document, as Markdown.
pub fn document(bytes: &[u8]) -> Result<Vec<Part>, Failure> {
    let text = markdown(&read(bytes)?, SectionMarkerStyle::None)?;
    Ok(vec![plain::part(text, true)])
}

/// A presentation, slide by slide.
pub fn slides(bytes: &[u8]) -> Result<Vec<Part>, Failure> {
    let text = markdown(&read(bytes)?, SectionMarkerStyle::Comment)?;
    let slides = text.split("<!-- slide ").skip(1);
    // The slide's number is no heading, and the separator of slides no text.
    let is_frame = |line: &&str| line.trim() == "---" || line.starts_with("## Slide ");
    let part = |slide: &str| {
        let (marker, text) = slide.split_once("-->").unwrap_or(("", slide));
        let number = marker.split(|c: char| !c.is_ascii_digit()).next();
        Part {
            page: number.and_then(|number| number.parse().ok()),
            text: text
                .lines()
                .filter(|line| !is_frame(line))
                .collect::<Vec<_>>()
                .join("\n"),
            is_markdown: true,
        }
    };
    Ok(slides.map(part).collect())
}

fn read(bytes: &[u8]) -> Result<Document, Failure> {
    undoc::parse_bytes(bytes).map_err(failure)
}

fn markdown(document: &Document, markers: SectionMarkerStyle) -> Result<String, Failure> {
    let options = RenderOptions {
        escape_special_chars: false,
        section_markers: markers,
        // Without them, the words before and after a line break would become one.
        preserve_line_breaks: true,
        ..RenderOptions::default()
    };
    let text = to_markdown(document, &options).map_err(failure)?;
    // Line breaks within a cell.
    Ok(text.replace("<br>", " "))
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Encrypted => {
            let detail = "The file is protected with a password: save it without one.";
            Failure::new("encrypted", detail)
        }
        _ => Failure::damaged(),
    }
}
