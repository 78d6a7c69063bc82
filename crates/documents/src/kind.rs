//! Detection of a file's kind from its content and, if that is not conclusive, from its name.

use file_format::FileFormat;

/// The kinds of documents that text can be extracted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Text,
    Markdown,
    Html,
    Pdf,
    Docx,
    Pptx,
    Xlsx,
    Csv,
    Json,
    Srt,
    Vtt,
    Eml,
}

/// Each kind with its media type and its file name extensions.
const KINDS: [(Kind, &str, &[&str]); 12] = [
    (Kind::Text, "text/plain", &["txt", "text", "log"]),
    (Kind::Markdown, "text/markdown", &["md", "markdown"]),
    (Kind::Html, "text/html", &["html", "htm", "xhtml"]),
    (Kind::Pdf, "application/pdf", &["pdf"]),
    (
        Kind::Docx,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        &["docx"],
    ),
    (
        Kind::Pptx,
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        &["pptx"],
    ),
    (
        Kind::Xlsx,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        &["xlsx"],
    ),
    (Kind::Csv, "text/csv", &["csv", "tsv"]),
    (Kind::Json, "application/json", &["json"]),
    (Kind::Srt, "application/x-subrip", &["srt"]),
    (Kind::Vtt, "text/vtt", &["vtt"]),
    (Kind::Eml, "message/rfc822", &["eml", "mht", "mhtml"]),
];

impl Kind {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        let row = KINDS.iter().find(|(kind, _, _)| *kind == self);
        row.map_or("", |(_, media, _)| media)
    }

    /// The kind of this media type.
    pub fn of_media_type(media: &str) -> Option<Self> {
        let mut rows = KINDS.iter();
        rows.find(|(_, known, _)| *known == media).map(|row| row.0)
    }

    fn of_name(name: &str) -> Option<Self> {
        let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
        let mut rows = KINDS.iter();
        let row = rows.find(|(_, _, endings)| endings.contains(&&*ending));
        row.map(|row| row.0)
    }

    const fn is_text(self) -> bool {
        !matches!(self, Self::Pdf | Self::Docx | Self::Pptx | Self::Xlsx)
    }
}

/// The media type of a file, from its first bytes and its name.
pub fn media_type(head: &[u8], name: &str) -> String {
    let named = Kind::of_name(name);
    if let Some(kind) = magic(head) {
        return kind.media_type().to_owned();
    }
    if head.starts_with(b"PK\x03\x04") {
        // The difference is at the end of the file; extraction checks there.
        let office = [Kind::Docx, Kind::Pptx, Kind::Xlsx];
        let named = named.filter(|kind| office.contains(kind));
        return named.map_or("application/zip", Kind::media_type).to_owned();
    }
    let binary = FileFormat::from_bytes(head);
    let texts = [
        FileFormat::PlainText,
        FileFormat::ArbitraryBinaryData,
        FileFormat::Empty,
    ];
    if !texts.contains(&binary) && !binary.media_type().starts_with("text/") {
        return binary.media_type().to_owned();
    }
    if looks_binary(head) {
        return "application/octet-stream".to_owned();
    }
    let named = named.filter(|kind| kind.is_text());
    let kind = match named.unwrap_or(Kind::Text) {
        Kind::Text if looks_like_mail(head) => Kind::Eml,
        kind => kind,
    };
    kind.media_type().to_owned()
}

/// A kind that the content proves.
fn magic(head: &[u8]) -> Option<Kind> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let start: Vec<u8> = text
        .iter()
        .copied()
        .skip_while(u8::is_ascii_whitespace)
        .take(16)
        .map(|byte| byte.to_ascii_lowercase())
        .collect();
    match &*start {
        start if start.starts_with(b"%pdf-") => Some(Kind::Pdf),
        start if start.starts_with(b"<!doctype html") || start.starts_with(b"<html") => {
            Some(Kind::Html)
        }
        start if start.starts_with(b"webvtt") => Some(Kind::Vtt),
        _ => None,
    }
}

/// Header lines, at least one of which occurs only in mails and in pages saved as MHTML.
fn looks_like_mail(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let lines = text.lines().take_while(|line| !line.trim().is_empty());
    let lines: Vec<String> = lines.map(str::to_ascii_lowercase).collect();
    let has = |name: &str| lines.iter().any(|line| line.starts_with(name));
    let is_line = |line: &String| {
        line.starts_with([' ', '\t'])
            || line
                .split_once(':')
                .is_some_and(|(name, _)| !name.contains(' '))
    };
    lines.iter().all(is_line) && has("from:") && (has("mime-version:") || has("message-id:"))
}

/// Text has no NUL, except UTF-16 with a byte order mark.
fn looks_binary(head: &[u8]) -> bool {
    let is_wide = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    !is_wide && head.contains(&0)
}

/// The kind of the whole file, if it differs from what the beginning suggested.
pub(crate) fn of_whole(bytes: &[u8], media: &str) -> Option<Kind> {
    match FileFormat::from_bytes(bytes) {
        FileFormat::OfficeOpenXmlDocument => Some(Kind::Docx),
        FileFormat::OfficeOpenXmlPresentation => Some(Kind::Pptx),
        FileFormat::OfficeOpenXmlSpreadsheet => Some(Kind::Xlsx),
        _ => Kind::of_media_type(media),
    }
}
