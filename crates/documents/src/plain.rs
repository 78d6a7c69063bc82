//! Text as it is.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::Encoding;
use serde_json::Value;

use crate::{Failure, Part};

/// All of a document in one part.
pub fn part(text: String, is_markdown: bool) -> Part {
    Part {
        page: None,
        text,
        is_markdown,
    }
}

/// The text, in whatever character set it was written.
pub fn decode(bytes: &[u8], declared: Option<&[u8]>) -> String {
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let declared = || Encoding::for_label_no_replacement(declared?);
    let guessed = || {
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
        detector.feed(bytes, true);
        detector.guess(None, Utf8Detection::Allow)
    };
    let encoding = marked.or_else(declared).unwrap_or_else(guessed);
    encoding.decode(bytes).0.into_owned()
}

/// One line for each value, with where it stands.
pub fn json(bytes: &[u8]) -> Result<Vec<Part>, Failure> {
    let value: Value = serde_json::from_str(&decode(bytes, None)).map_err(Failure::damaged)?;
    let mut text = String::new();
    write(&value, &mut String::new(), &mut text);
    Ok(vec![part(text, false)])
}

fn write(value: &Value, at: &mut String, text: &mut String) {
    let length = at.len();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if length > 0 {
                    at.push('.');
                }
                at.push_str(name);
                write(value, at, text);
                at.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                at.push_str(&format!("[{index}]"));
                write(value, at, text);
                at.truncate(length);
            }
        }
        Value::Null => {}
        Value::String(words) => text.push_str(&format!("{at}: {words}\n")),
        other => text.push_str(&format!("{at}: {other}\n")),
    }
}
