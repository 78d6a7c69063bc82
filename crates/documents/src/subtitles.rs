//! Subtitles: SRT and WebVTT.

use crate::{Part, plain};

/// What is said, cue after cue, a paragraph for each pause.
pub fn cues(text: &str) -> Vec<Part> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let mut said: Vec<String> = Vec::new();
    for block in text.split("\n\n") {
        let mut lines = block.lines().skip_while(|line| !line.contains("-->"));
        if lines.next().is_none() {
            // A number, a note, a style: nobody says it.
            continue;
        }
        let cue: Vec<String> = lines.map(spoken).filter(|line| !line.is_empty()).collect();
        let cue = cue.join(" ");
        // Rolling captions repeat themselves.
        if !cue.is_empty() && said.last() != Some(&cue) {
            said.push(cue);
        }
    }
    vec![plain::part(said.join("\n"), false)]
}

/// A line without its markup.
fn spoken(line: &str) -> String {
    let mut text = String::new();
    let mut depth = 0_u32;
    for c in line.chars() {
        match c {
            '<' | '{' => depth += 1,
            '>' | '}' if depth > 0 => depth -= 1,
            c if depth == 0 => text.push(c),
            _ => {}
        }
    }
    let named = [
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&nbsp;", " "),
    ];
    for (name, c) in named {
        text = text.replace(name, c);
    }
    text.trim().to_owned()
}
