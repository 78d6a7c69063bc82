//! Text extraction by kind.

use crate::{
    Failure, Kind, Part, Progress, kind, mail, office, pdf, plain, subtitles, tables, web,
};

/// The text of a document. `media` is the media type that its beginning suggests.
pub fn extract(bytes: &[u8], media: &str, progress: Progress<'_>) -> Result<Vec<Part>, Failure> {
    if bytes.starts_with(b"\xd0\xcf\x11\xe0") {
        let detail = "It is an Office file of before 2007, or one with a password: save it as docx, pptx or xlsx without one.";
        return Err(Failure::new("unsupported_type", detail));
    }
    let kind = kind::of_whole(bytes, media).ok_or_else(|| {
        let detail = format!("Files of the type {media} have no text that can be read here.");
        Failure::new("unsupported_type", detail)
    })?;
    let parts = match kind {
        Kind::Pdf => pdf::parts(bytes, progress)?,
        Kind::Docx => office::document(bytes)?,
        Kind::Pptx => office::slides(bytes)?,
        Kind::Xlsx => tables::workbook(bytes, progress)?,
        Kind::Csv => tables::csv(&plain::decode(bytes, None))?,
        Kind::Html => web::page(&web::decode(bytes))?,
        Kind::Eml => mail::message(bytes)?,
        Kind::Json => plain::json(bytes)?,
        Kind::Srt | Kind::Vtt => subtitles::cues(&plain::decode(bytes, None)),
        Kind::Markdown => vec![plain::part(plain::decode(bytes, None), true)],
        Kind::Text => vec![plain::part(plain::decode(bytes, None), false)],
    };
    let parts: Vec<Part> = parts.into_iter().map(cleaned).collect();
    if parts.iter().all(|part| part.text.trim().is_empty()) {
        let detail = "There is no text in it. A scan has to go through text recognition first.";
        return Err(Failure::new("no_text_found", detail));
    }
    Ok(parts)
}

/// Without characters that PostgreSQL cannot store or that are not printable.
fn cleaned(part: Part) -> Part {
    let keep = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    Part {
        text: part
            .text
            .replace("\r\n", "\n")
            .chars()
            .filter(keep)
            .collect(),
        ..part
    }
}
