//! What a file is, and how text is cut; whole documents are read in the tests of the service.

use super::*;

#[test]
fn content_says_what_a_file_is_and_its_name_what_content_does_not() {
    for (head, name, media) in [
        (&b"%PDF-1.7"[..], "a.txt", "application/pdf"),
        (b"\xef\xbb\xbf <!DOCTYPE html>", "a", "text/html"),
        (b"WEBVTT\n", "a.srt", "text/vtt"),
        (b"# Title", "a.md", "text/markdown"),
        (b"a,b", "A.CSV", "text/csv"),
        (b"a,b", "a", "text/plain"),
        (b"\xff\xfea\0", "a.txt", "text/plain"),
        (b"a\0b", "a.txt", "application/octet-stream"),
        (b"", "a.md", "text/markdown"),
        (b"PK\x03\x04", "a.docx", Kind::Docx.media_type()),
        (b"PK\x03\x04", "a.txt", "application/zip"),
        (b"\x89PNG\r\n\x1a\n", "a.pdf", "image/png"),
    ] {
        assert_eq!(media_type(head, name), media, "{name}");
    }
}

fn cut(text: &str, is_markdown: bool, most: usize) -> Vec<Chunk> {
    let part = Part {
        page: None,
        text: text.to_owned(),
        is_markdown,
    };
    let sizing = Sizing {
        most,
        overlap: 0,
        count: &|text| text.split_whitespace().count(),
    };
    chunk(&[part], &sizing, &mut |_, _| {})
}

#[test]
fn chunks_know_the_headings_above_them() {
    let text = "# A\n\none two three\n\n## B\n\nfour five six\n\n```\n# no heading\n```\n\n# C\n\nseven eight nine\n";
    let found = cut(text, true, 5);
    let under = |words: &str| {
        let chunk = found.iter().find(|chunk| chunk.text.contains(words));
        chunk
            .unwrap_or_else(|| panic!("{words} in {found:?}"))
            .headings
            .join("/")
    };
    assert_eq!(under("one two"), "A");
    assert_eq!(under("four five"), "A/B");
    assert_eq!(under("seven eight"), "C");
}

#[test]
fn nothing_of_a_text_is_lost_however_long_its_words_are() {
    let line = "word ".repeat(9).trim_end().to_owned() + "\n";
    let text = line.repeat(40_000);
    let found = cut(&text, false, 100);
    let words: usize = found
        .iter()
        .map(|c| c.text.split_whitespace().count())
        .sum();
    assert_eq!(words, 9 * 40_000);
    let characters: Vec<char> = text.chars().collect();
    let place = |chunk: &Chunk| {
        characters[chunk.starts_at..chunk.ends_at]
            .iter()
            .collect::<String>()
    };
    assert!(
        found
            .iter()
            .step_by(97)
            .all(|chunk| place(chunk) == chunk.text)
    );
}
