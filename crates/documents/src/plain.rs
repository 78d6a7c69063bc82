//! Plain text.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::Encoding;
use serde_json::Value;

use crate::{Failure, Part};

/// A document as a single part.
pub fn part(text: String, is_markdown: bool) -> Part {
    Part {
        page: None,
        text,
        is_markdown,
    }
}

/// Decodes a text of any character set.
pub fn decode(bytes: &[u8], declared: Option<&[u8]>) -> String {
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let declared = || Encoding::for_label_no_replacement(declared?);
    let guessed = || {
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
        detector.feed(bytes, true);
        detector.guess(None, Utf8Detection::Allow)
    };
    let nearly = || is_nearly_utf8(bytes).then_some(encoding_rs::UTF_8);
    let encoding = marked
        .or_else(declared)
        .or_else(nearly)
        .unwrap_or_else(guessed);
    let text = encoding.decode(bytes).0;
    // Line breaks are normalised.
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Whether it is UTF-8 with a few broken bytes, such as a truncated last character: no other character set has so
/// many of its sequences by chance.
fn is_nearly_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    good > bad * 3 || (good > 0 && bad <= 1)
}

fn invalid_json(error: &serde_json::Error) -> Failure {
    let (line, column) = (error.line(), error.column());
    let detail = format!("The file is no valid JSON from line {line}, column {column} on.");
    Failure::new("damaged", detail)
}

/// One line for each value, with its path.
pub fn json(bytes: &[u8]) -> Result<Vec<Part>, Failure> {
    let json = decode(bytes, None);
    let values = match serde_json::from_str(&json) {
        Ok(value) => vec![value],
        Err(error) => lines_of_json(&json).ok_or_else(|| invalid_json(&error))?,
    };
    let mut text = String::new();
    for value in values {
        write(&value, &mut String::new(), &mut text);
    }
    Ok(vec![part(text, false)])
}

/// One JSON value in each line, as in logs and exports.
fn lines_of_json(text: &str) -> Option<Vec<Value>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).ok()).collect()
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
