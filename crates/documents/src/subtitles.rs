//! Subtitles: SRT and WebVTT.

use crate::{Part, plain};

/// Maximum characters of a tag: anything longer is spoken text.
const LONGEST_TAG: usize = 80;

/// The spoken text, one line for each cue.
pub fn cues(text: &str) -> Vec<Part> {
    let mut said: Vec<String> = Vec::new();
    let mut cue: Option<Vec<String>> = None;
    let mut end = |cue: Option<Vec<String>>| {
        let cue = cue.unwrap_or_default().join(" ");
        // Rolling captions repeat their previous lines.
        if !cue.is_empty() && said.last() != Some(&cue) {
            said.push(cue);
        }
    };
    for line in text.trim_start_matches('\u{feff}').lines() {
        if line.contains("-->") {
            // Some files have no blank line between cues; the number above the times belongs to the next one.
            let mut before = cue.replace(Vec::new()).unwrap_or_default();
            before.pop_if(|last| last.chars().all(|c| c.is_ascii_digit()));
            end(Some(before));
        } else if line.trim().is_empty() {
            end(cue.take());
        } else if let Some(cue) = &mut cue {
            // Numbers, notes and styles outside of cues are not spoken.
            let line = spoken(line);
            cue.extend((!line.is_empty()).then_some(line));
        }
    }
    end(cue);
    vec![plain::part(said.join("\n"), false)]
}

/// A line without its markup.
fn spoken(line: &str) -> String {
    let (mut text, mut rest) = (String::new(), line);
    while let Some(at) = rest.find(['<', '{']) {
        text.push_str(&rest[..at]);
        let after = &rest[at..];
        match tag(after) {
            Some(length) => rest = &after[length..],
            None => {
                text.push_str(&after[..1]);
                rest = &after[1..];
            }
        }
    }
    text.push_str(rest);
    let named = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    for (name, c) in named {
        text = text.replace(name, c);
    }
    text.trim().to_owned()
}

/// Length of the tag at the start of a text, such as `<i>`, `</c.loud>`, `<00:00:01.000>` or `{\an8}`.
fn tag(text: &str) -> Option<usize> {
    let inside = &text[1..];
    let (close, is_tag) = match text.as_bytes()[0] {
        b'<' => (
            '>',
            inside.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/'),
        ),
        _ => ('}', inside.starts_with('\\')),
    };
    let end = inside.find(close).filter(|end| *end < LONGEST_TAG)?;
    let is_time = close == '>'
        && inside[..end]
            .chars()
            .all(|c| c.is_ascii_digit() || ":.".contains(c));
    (is_tag || (is_time && end > 0)).then_some(end + 2)
}
