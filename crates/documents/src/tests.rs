//! Detection of kinds, and chunking; whole documents are extracted in the tests of the service.

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

/// The text of a document of this name.
fn text(name: &str, bytes: &[u8]) -> String {
    let media = media_type(bytes, name);
    let parts = extract(bytes, &media, &mut |_, _| {}).unwrap();
    parts.into_iter().map(|part| part.text).collect()
}

#[test]
fn tables_are_read_by_their_columns_whatever_stands_above() {
    let table = "Report of 2026\n\nName;Price;Place\nBread;3,20;North\n";
    assert_eq!(
        text("a.csv", table.as_bytes()),
        "Report of 2026\nName: Bread; Price: 3,20; Place: North\n"
    );
    let said = b"sep= |\nName|Price\nBread, white|3";
    assert_eq!(text("a.csv", said), "Name: Bread, white; Price: 3\n");
    assert_eq!(text("a.csv", b"one\ntwo\n"), "one\ntwo\n");
}

#[test]
fn web_pages_are_what_a_reader_sees() {
    let page = "<html><body><form><div role='navigation'>Menu</div><div hidden>Secret</div>
        <p style='display: none'>Banner</p><h2><a href='#x'>Opening hours</a></h2>
        <p>We <a href='https://a.example/b?c'>open</a> at nine.
        <img src='data:image/png;base64,AAAA' alt='A clock'></p></form></body></html>";
    assert_eq!(
        text("a.html", page.as_bytes()).trim(),
        "## Opening hours\n\nWe open at nine. A clock"
    );
    let script = b"<html><head><script charset='windows-1251' src='x'></script><meta charset='iso-8859-1'></head><p>Gr\xfc\xdfe</p>";
    assert_eq!(text("a.html", script).trim(), "Gr\u{fc}\u{df}e");
    let wide = "<html><head><meta charset='utf-16'></head><p>Gr\u{fc}\u{df}e</p>";
    assert_eq!(text("a.html", wide.as_bytes()).trim(), "Gr\u{fc}\u{df}e");
}

#[test]
fn mails_are_read_to_their_end_and_known_without_their_name() {
    let mail = "From: a@a.example\nCc: c@c.example\nSubject: Hours\nMIME-Version: 1.0\n\
        Content-Type: multipart/mixed; boundary=\"b\"\n\n\
        --b\nContent-Type: text/plain\n\nPart one.\n\
        --b\nContent-Type: text/plain\n\nPart two.\n\
        --b\nContent-Type: message/rfc822\n\nFrom: d@d.example\nSubject: Older\n\nPart three.\n--b--\n";
    let read = text("a.txt", mail.as_bytes());
    for words in [
        "Subject: Hours",
        "Cc: c@c.example",
        "Part one.",
        "Part two.",
        "Subject: Older",
        "Part three.",
    ] {
        assert_eq!(read.matches(words).count(), 1, "{words}: {read}");
    }
    let blank = "From: a@a.example\nMessage-ID: <1>\nContent-Type: multipart/alternative; boundary=\"b\"\n\n\
        --b\nContent-Type: text/plain\n\n \n--b\nContent-Type: text/html\n\n<p>We open at nine.</p>\n--b--\n";
    assert!(text("a.eml", blank.as_bytes()).contains("We open at nine."));
    let prose = b"From: here to there\nis far.";
    assert_eq!(media_type(prose, "a.txt"), "text/plain");
}

#[test]
fn characters_survive_broken_ones_and_old_lines() {
    let mut cut = "Gr\u{fc}\u{df}e aus M\u{fc}nchen".as_bytes().to_vec();
    cut.extend(b" \xc3");
    assert!(text("a.txt", &cut).starts_with("Gr\u{fc}\u{df}e aus M\u{fc}nchen"));
    assert_eq!(text("a.txt", b"Gr\xfc\xdfe"), "Gr\u{fc}\u{df}e");
    assert_eq!(text("a.txt", b"one\rtwo\r\nthree"), "one\ntwo\nthree");
    let lines = b"{\"a\": 1}\n{\"a\": 2}\n";
    assert_eq!(text("a.json", lines), "a: 1\na: 2\n");
}

#[test]
fn subtitles_lose_their_markup_and_nothing_that_is_said() {
    let srt = "1\n00:00:01,000 --> 00:00:02,000\n<i>I <3 you</i>, and x < y {\\an8}is fine\n2\n\
        00:00:03,000 --> 00:00:04,000\n<00:00:03.500>Yes.\n  \n3\n00:00:05,000 --> 00:00:06,000\n42\n";
    assert_eq!(
        text("a.srt", srt.as_bytes()),
        "I <3 you, and x < y is fine\nYes.\n42"
    );
}

#[test]
fn pages_have_the_words_that_people_type() {
    let page = "Der e\u{fb03}ziente O\u{fb03}zier liest non-\nsense, vor- und nachher, \u{2f08}\u{2f2f}, x-ray, A- b, a - b";
    assert_eq!(
        pdf::readable(page),
        "Der effiziente Offizier liest nonsense, vor- und nachher, \u{4eba}\u{5de5}, x-ray, A- b, a - b"
    );
}
