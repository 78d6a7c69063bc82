//! Web pages.

use htmd::HtmlToMarkdown;

use crate::{Failure, Part, plain};

/// Bytes of a page at most: the parser takes longer than in proportion.
const MOST: usize = 8 << 20;
/// Where the character set stands, if it does.
const DECLARATION: usize = 1024;
/// What is no text of the page.
const SKIPPED: [&str; 16] = [
    "head", "script", "style", "noscript", "template", "nav", "footer", "aside", "form", "button",
    "iframe", "svg", "canvas", "object", "select", "dialog",
];

/// The page's characters, in the set that it declares.
pub fn decode(bytes: &[u8]) -> String {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION)]).to_lowercase();
    let declared = head.split("charset=").nth(1).map(|rest| {
        let name = rest.trim_start_matches(['"', '\'']);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_:".contains(c);
        name.split(|c| !plain(c))
            .next()
            .unwrap_or_default()
            .to_owned()
    });
    plain::decode(bytes, declared.as_ref().map(|name| name.as_bytes()))
}

/// What a reader sees, as Markdown.
pub fn page(html: &str) -> Result<Vec<Part>, Failure> {
    if html.len() > MOST {
        let detail = format!("A web page of more than {MOST} bytes is not read.");
        return Err(Failure::new("too_large", detail));
    }
    let converter = HtmlToMarkdown::builder()
        .skip_tags(SKIPPED.to_vec())
        .build();
    let text = converter.convert(html).map_err(Failure::damaged)?;
    Ok(vec![plain::part(text, true)])
}
