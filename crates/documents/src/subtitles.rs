//! Subtitles: SRT and WebVTT.

use crate::{Part, plain};

/// Characters of a tag at most: what is longer is something that somebody says.
const LONGEST_TAG: usize = 80;

/// What is said, cue after cue, a line for each.
pub fn cues(text: &str) -> Vec<Part> {
    let mut said: Vec<String> = Vec::new();
    let mut cue: Option<Vec<String>> = None;
    let mut end = |cue: Option<Vec<String>>| {
        let cue = cue.unwrap_or_default().join(" ");
        // Rolling captions repeat themselves.
        if !cue.is_empty() && said.last() != Some(&cue) {
            said.push(cue);
        }
    };
    for line in text.trim_start_matches('\u{feff}').lines() {
        if line.contains("-->") {
            // Some leave no line free between cues; the number above the times is the next one's.
            let mut before = cue.replace(Vec::new()).unwrap_or_default();
            before.pop_if(|last| last.chars().all(|c| c.is_ascii_digit()));
            end(Some(before));
        } else if line.trim().is_empty() {
            end(cue.take());
        } else if let Some(cue) = &mut cue {
            // Outside of cues there are numbers, notes and styles: nobody says them.
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

/// Bytes of the tag that a text begins with, such as `<i>`, `</c.loud>`, `<00:00:01.000>` or `{\an8}`.
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
