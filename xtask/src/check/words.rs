//! Banned words of this repository, listed in `xtask/words.txt`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    sources::{packages, rust_files},
    tokens::{self, Source},
};

/// Path of the list.
const LIST: &str = "xtask/words.txt";
/// Text files that are checked in addition to comments.
const PROSE: [&str; 4] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "deploy/README.md",
];
/// The OpenAPI document, whose descriptions are checked.
const DOCUMENT: &str = "openapi/openapi.json";

/// A banned identifier or phrase.
#[derive(Debug, PartialEq, Eq)]
struct Ban {
    /// Consecutive identifiers, or the words of a phrase in lowercase.
    what: Vec<String>,
    instead: String,
    /// Files in which it is allowed.
    except: Vec<String>,
}

/// The list: identifiers and phrases.
#[derive(Debug, Default)]
struct List {
    identifiers: Vec<Ban>,
    phrases: Vec<Ban>,
}

/// Text without line breaks, with the line numbers of its parts.
#[derive(Default)]
struct Prose {
    text: String,
    /// Byte offsets at which lines begin.
    lines: Vec<(usize, usize)>,
}

/// Fails with each use of a banned word.
pub fn check(root: &Path) -> Result<()> {
    let list = fs::read_to_string(root.join(LIST)).with_context(|| format!("no {LIST}"))?;
    let list = List::read(&list)?;
    let mut hits = Vec::new();
    for file in code(root)? {
        let source = tokens::read(&fs::read_to_string(root.join(&file))?);
        list.check_code(&file, &source, &mut hits);
        list.check_prose(&file, &Prose::of_comments(&source), &mut hits);
    }
    for file in PROSE {
        let text = fs::read_to_string(root.join(file)).with_context(|| format!("no {file}"))?;
        list.check_prose(file, &Prose::of_text(&text), &mut hits);
    }
    let document = fs::read_to_string(root.join(DOCUMENT))?;
    list.check_document(&document, &mut hits);
    ensure!(
        hits.is_empty(),
        "{} places, see {LIST}:\n{}",
        hits.len(),
        hits.join("\n")
    );
    Ok(())
}

/// The Rust files that are checked, relative to the root.
fn code(root: &Path) -> Result<Vec<String>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for (_, folder) in packages(root)? {
        files.extend(rust_files(&folder.join("src"))?);
        if folder.starts_with(root.join("crates")) {
            files.extend(rust_files(&folder.join("tests"))?);
        }
    }
    let below = |file: &PathBuf| Some(file.strip_prefix(root).ok()?.to_str()?.to_owned());
    Ok(files.iter().filter_map(below).collect())
}

impl List {
    /// `what | what to write instead`, and optionally ` | except file file`, below `[identifiers]` and
    /// `[phrases]`.
    fn read(text: &str) -> Result<Self> {
        let mut list = Self::default();
        let mut section = "";
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match (line, section) {
                ("[identifiers]" | "[phrases]", _) => section = line,
                (_, "[identifiers]") => list.identifiers.extend(Ban::read(line)),
                (_, "[phrases]") => list.phrases.extend(Ban::read(line)),
                _ => bail!("{LIST}:{}: of which section?", number + 1),
            }
            let is_whole = line.starts_with('[') || Ban::read(line).is_some();
            ensure!(is_whole, "{LIST}:{}: not `what | instead`", number + 1);
        }
        Ok(list)
    }

    fn check_code(&self, file: &str, source: &Source, hits: &mut Vec<String>) {
        for (at, token) in source.tokens.iter().enumerate() {
            let follows = |ban: &&Ban| {
                let mut words = ban.what.iter().zip(at..);
                words.all(|(word, at)| source.tokens.get(at).is_some_and(|token| token.is(word)))
            };
            let bans = self.identifiers.iter().filter(|ban| ban.holds_in(file));
            hits.extend(bans.filter(follows).map(|ban| ban.hit(file, token.line)));
        }
    }

    fn check_prose(&self, file: &str, prose: &Prose, hits: &mut Vec<String>) {
        for ban in self.phrases.iter().filter(|ban| ban.holds_in(file)) {
            let lines = prose.find(&ban.what.join(" "));
            hits.extend(lines.iter().map(|line| ban.hit(file, *line)));
        }
    }

    /// Checks the OpenAPI document: each `summary` and `description` is on a line of its own.
    fn check_document(&self, document: &str, hits: &mut Vec<String>) {
        for (number, line) in (1..).zip(document.lines()) {
            let line = line.trim();
            let summary = line.strip_prefix("\"summary\": ");
            let said = summary.or_else(|| line.strip_prefix("\"description\": "));
            let said = said.map(|said| said.trim_end_matches(','));
            let Some(said) = said.and_then(|said| serde_json::from_str::<String>(said).ok()) else {
                continue;
            };
            if summary.is_some() && said.trim_end().ends_with('?') {
                let hit =
                    format!("{DOCUMENT}:{number}: a summary ends in `?` -> write: what it does");
                hits.push(hit);
            }
            let prose = Prose::of_lines(said.lines().map(|line| (number, line)));
            self.check_prose(DOCUMENT, &prose, hits);
        }
    }
}

impl Ban {
    fn read(line: &str) -> Option<Self> {
        let mut parts = line.split('|').map(str::trim);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let (what, instead) = (parts.next()?, parts.next()?);
        let except = match parts.next() {
            Some(except) => words(except.strip_prefix("except ")?),
            None => Vec::new(),
        };
        let is_whole = !what.is_empty() && !instead.is_empty() && parts.next().is_none();
        is_whole.then(|| Self {
            what: words(what),
            instead: instead.to_owned(),
            except,
        })
    }

    fn holds_in(&self, file: &str) -> bool {
        !self.except.iter().any(|except| except == file)
    }

    fn hit(&self, file: &str, line: usize) -> String {
        format!(
            "{file}:{line}: {} -> write: {}",
            self.what.join(" "),
            self.instead
        )
    }
}

impl Prose {
    /// The comments of a file; code between them separates paragraphs.
    fn of_comments(source: &Source) -> Self {
        let mut prose = Self::default();
        let mut before = 0;
        for (number, line) in &source.comments {
            let code = source
                .tokens
                .binary_search_by_key(number, |token| token.line);
            if code.is_ok() || *number > before + 1 {
                prose.end_paragraph();
            }
            before = *number;
            prose.push(*number, line);
        }
        prose
    }

    fn of_text(text: &str) -> Self {
        Self::of_lines((1..).zip(text.lines()))
    }

    fn of_lines<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Self {
        let mut prose = Self::default();
        for (number, line) in lines {
            prose.push(number, line);
        }
        prose
    }

    fn end_paragraph(&mut self) {
        self.text.push('\n');
    }

    fn push(&mut self, number: usize, line: &str) {
        if line.trim().is_empty() {
            self.end_paragraph();
        }
        self.lines.push((self.text.len(), number));
        for word in line.split_whitespace() {
            self.text.push_str(&word.to_lowercase());
            self.text.push(' ');
        }
    }

    /// The lines in which a phrase begins.
    fn find(&self, phrase: &str) -> Vec<usize> {
        let phrase = phrase.to_lowercase();
        let is_whole = |at: &usize| {
            let before = self.text[..*at].chars().next_back();
            let after = self.text[at + phrase.len()..].chars().next();
            let goes_on = |next: Option<char>| next.is_some_and(char::is_alphanumeric);
            !goes_on(before) && !goes_on(after)
        };
        let found = self.text.match_indices(&phrase).map(|(at, _)| at);
        let line = |at| {
            let lines = self.lines.iter().take_while(|(start, _)| *start <= at);
            lines.last().map_or(0, |(_, line)| *line)
        };
        found.filter(is_whole).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> List {
        let text = "# Names\n[identifiers]\nSeen | Observed\nfn begin | start | except a/db.rs\n\n\
            [phrases]\nOn  Fire | burning\nnobody's | without an owner\n";
        List::read(text).unwrap()
    }

    fn in_code(file: &str, text: &str) -> Vec<String> {
        let mut hits = Vec::new();
        let source = tokens::read(text);
        list().check_code(file, &source, &mut hits);
        list().check_prose(file, &Prose::of_comments(&source), &mut hits);
        hits
    }

    #[test]
    fn whole_identifiers_in_code_are_found() {
        let text = "struct Seen2; // Seen\nlet unseen = \"Seen\";\nfn f(seen: &Seen<'_>) {}";
        assert_eq!(in_code("a.rs", text), ["a.rs:3: Seen -> write: Observed"]);
    }

    #[test]
    fn several_words_are_one_and_some_files_may() {
        let text = "pub fn\nbegin() {}\nfn begins() { db.begin() }";
        assert_eq!(in_code("a.rs", text), ["a.rs:1: fn begin -> write: start"]);
        assert!(in_code("a/db.rs", text).is_empty());
    }

    #[test]
    fn phrases_are_found_across_lines_and_not_across_code() {
        let text =
            "/// It is ON\n/// fire. On firewood,\n/// on\nfn f() {} // fire\n// Is nobody's.";
        let expected = [
            "a.rs:1: On Fire -> write: burning",
            "a.rs:5: nobody's -> write: without an owner",
        ];
        assert_eq!(in_code("a.rs", text), expected);
    }

    #[test]
    fn the_document_is_read_and_its_summaries_do_not_ask() {
        let document = "{\n\"summary\": \"Whose is it?\",\n\"description\": \"It is\\non\\nfire, \\\"?\",\n\
            \"description\": {\n\"summary\": \"on fire\" }";
        let mut hits = Vec::new();
        list().check_document(document, &mut hits);
        let asks = format!("{DOCUMENT}:2: a summary ends in `?` -> write: what it does");
        let burns = format!("{DOCUMENT}:3: On Fire -> write: burning");
        assert_eq!(hits, [asks, burns]);
    }

    #[test]
    fn a_line_that_is_not_understood_is_refused_by_its_number() {
        for text in [
            "a | b",
            "[phrases]\na",
            "[phrases]\na | b | c",
            "[phrases]\n | b",
        ] {
            let error = List::read(text).unwrap_err().to_string();
            assert!(error.starts_with("xtask/words.txt:"), "{error}");
        }
    }
}
