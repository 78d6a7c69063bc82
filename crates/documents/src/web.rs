//! Web pages.

use htmd::{Element, HtmlToMarkdown, element_handler::Handlers};

use crate::{Failure, Part, plain};

/// Maximum bytes of a page: the parser's time grows faster than the input.
const MOST: usize = 8 << 20;
/// Bytes in which the character set is declared.
const DECLARATION: usize = 1024;
/// Elements without text of the page.
const SKIPPED: [&str; 15] = [
    "head", "script", "style", "noscript", "template", "nav", "footer", "aside", "button",
    "iframe", "svg", "canvas", "object", "select", "dialog",
];
/// Elements that group parts of a page.
const BOXES: [&str; 6] = ["div", "section", "header", "ul", "p", "table"];

/// Decodes a page with the character set that it declares.
pub fn decode(bytes: &[u8]) -> String {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION)]).to_lowercase();
    let metas = head.split("<meta").skip(1);
    let mut metas = metas.map(|meta| meta.split('>').next().unwrap_or_default());
    let declared = metas
        .find_map(|meta| meta.split("charset=").nth(1))
        .map(|rest| {
            let name = rest.trim_start_matches(['"', '\'']);
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_:".contains(c);
            name.split(|c| !plain(c))
                .next()
                .unwrap_or_default()
                .to_owned()
        });
    // A declaration of UTF-16 that can be read as ASCII is wrong; browsers assume UTF-8, too.
    let declared = declared.map(|name| {
        if name.starts_with("utf-16") {
            "utf-8".to_owned()
        } else {
            name
        }
    });
    plain::decode(bytes, declared.as_ref().map(|name| name.as_bytes()))
}

/// The visible text, as Markdown.
pub fn page(html: &str) -> Result<Vec<Part>, Failure> {
    if html.len() > MOST {
        let detail = format!("A web page of more than {MOST} bytes is not read.");
        return Err(Failure::new("too_large", detail));
    }
    let converter = HtmlToMarkdown::builder()
        .skip_tags(SKIPPED.to_vec())
        // The targets of links and images are no text.
        .add_handler(
            vec!["a"],
            |handlers: &dyn Handlers, element: Element<'_>| {
                Some(handlers.walk_children(element.node))
            },
        )
        .add_handler(vec!["img"], |_: &dyn Handlers, element: Element<'_>| {
            Some(attribute(&element, "alt").unwrap_or_default().into())
        })
        .add_handler(
            BOXES.to_vec(),
            |handlers: &dyn Handlers, element: Element<'_>| match is_hidden(&element) {
                true => None,
                false => handlers.fallback(element),
            },
        )
        .build();
    let text = converter.convert(html).map_err(|_| Failure::damaged())?;
    Ok(vec![plain::part(text, true)])
}

fn attribute(element: &Element<'_>, name: &str) -> Option<String> {
    let mut attributes = element.attrs.iter();
    let found = attributes.find(|attribute| &*attribute.name.local == name)?;
    Some(found.value.to_string())
}

/// Whether it is hidden, or a menu.
fn is_hidden(element: &Element<'_>) -> bool {
    let style = attribute(element, "style")
        .unwrap_or_default()
        .replace(' ', "");
    let role = attribute(element, "role").unwrap_or_default();
    attribute(element, "hidden").is_some()
        || attribute(element, "aria-hidden").is_some_and(|hidden| hidden == "true")
        || style.contains("display:none")
        || matches!(
            &*role,
            "navigation" | "menu" | "dialog" | "search" | "contentinfo"
        )
}
