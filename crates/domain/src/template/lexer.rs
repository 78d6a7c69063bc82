//! From source to texts and tags, and from a tag to its tokens.

use serde_json::{Number, Value};

use super::bounds::{MAX_TAG, MAX_TAGS};
use crate::invalid::Invalid;

/// What is wrong with a template, and where in its source, in bytes.
#[derive(Debug)]
pub(super) struct Fault {
    pub at: usize,
    pub message: String,
}

impl Fault {
    pub fn new(at: usize, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { at, message }
    }

    /// The fault with line and column, both from 1.
    pub fn describe(self, source: &str) -> Invalid {
        let before = source.get(..self.at).unwrap_or(source);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let message = format!("{} (line {line}, column {column})", self.message);
        Invalid::new("invalid_template", message)
    }
}

/// A part of a template.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// Text as it stands.
    Text(&'a str),
    /// What stands in `{{ }}`.
    Write(Tag),
    /// What stands in `{% %}`.
    Block(Tag),
}

/// The tokens of a tag and where each begins.
#[derive(Debug)]
pub(super) struct Tag {
    pub at: usize,
    pub tokens: Vec<(Token, usize)>,
}

/// A word of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Literal(Value),
    Sign(&'static str),
}

impl Token {
    /// The token as a person wrote it.
    pub fn text(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Literal(value) => value.to_string(),
            Self::Sign(sign) => (*sign).to_owned(),
        }
    }
}

const SIGNS: [&str; 13] = [
    "==", "!=", "<=", ">=", "<", ">", "|", ".", ",", "(", ")", "[", "]",
];

/// Splits a template into its parts.
pub(super) fn split(source: &str) -> Result<Vec<Part<'_>>, Fault> {
    let mut parts = Vec::new();
    let (mut at, mut tags, mut trim) = (0, 0, false);
    let comments_end = source.rfind("#}").unwrap_or_default();
    while at < source.len() {
        let rest = &source[at..];
        let open = tag_start(rest, comments_end.saturating_sub(at));
        let end = open.unwrap_or(rest.len());
        let mut text = &rest[..end];
        if trim {
            text = text.trim_start();
        }
        let Some(open) = open else {
            parts.push(Part::Text(text));
            break;
        };
        let start = at + open;
        tags += 1;
        if tags > MAX_TAGS {
            return Err(Fault::new(
                start,
                format!("at most {MAX_TAGS} tags are allowed"),
            ));
        }
        let tag = Bounds::find(source, start)?;
        if tag.trims_before {
            text = text.trim_end();
        }
        parts.push(Part::Text(text));
        at = tag.end;
        trim = tag.trims_after;
        let inner = &source[tag.inner.clone()];
        if tag.is_block && inner.trim() == "raw" {
            let (text, end, after) = raw(source, at, start, trim)?;
            parts.push(Part::Text(text));
            (at, trim) = (end, after);
            continue;
        }
        if tag.is_block {
            known_block(inner, start)?;
        }
        let tokens = tokens(inner, tag.inner.start)?;
        let (is_block, tag) = (tag.is_block, Tag { at: start, tokens });
        parts.push(if is_block {
            Part::Block(tag)
        } else {
            Part::Write(tag)
        });
    }
    Ok(parts)
}

/// Refuses tags of larger languages by their names, before their contents are looked at.
fn known_block(inner: &str, at: usize) -> Result<(), Fault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let word = inner.trim_start();
    let word = &word[..word.find(|c| !plain(c)).unwrap_or(word.len())];
    match word {
        "if" | "elif" | "else" | "endif" | "for" | "endfor" => Ok(()),
        "" => Err(Fault::new(at, "the tag has no name")),
        "endraw" => Err(Fault::new(at, "`endraw` ends nothing")),
        _ => {
            let message = format!(
                "the template language has no tag `{word}`; there are `if`, `for` and `raw`"
            );
            Err(Fault::new(at, message))
        }
    }
}

/// Where the first tag begins that is not within a comment; comments are text. The last of them ends at
/// `comments_end` at the latest.
fn tag_start(text: &str, comments_end: usize) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text[at..].find('{')?;
        let rest = &text[at + 1..];
        if rest.starts_with(['{', '%']) {
            return Some(at);
        }
        at += 1;
        if rest.starts_with('#') && at < comments_end {
            at += rest[1..].find("#}").map_or(0, |end| end + 3);
        }
    }
}

/// Where a tag stands.
struct Bounds {
    inner: std::ops::Range<usize>,
    end: usize,
    is_block: bool,
    trims_before: bool,
    trims_after: bool,
}

impl Bounds {
    fn find(source: &str, start: usize) -> Result<Self, Fault> {
        let is_block = source[start..].starts_with("{%");
        let close = if is_block { "%}" } else { "}}" };
        let mut from = start + 2;
        let trims_before = source[from..].starts_with('-');
        from += usize::from(trims_before);
        let (mut quote, mut escaped) = (None, false);
        for (count, (offset, c)) in source[from..].char_indices().enumerate() {
            if count > MAX_TAG {
                let message = format!("a tag has at most {MAX_TAG} characters");
                return Err(Fault::new(start, message));
            }
            match quote {
                Some(_) if escaped => escaped = false,
                Some(_) if c == '\\' => escaped = true,
                Some(q) if c == q => quote = None,
                Some(_) => {}
                None if matches!(c, '"' | '\'') => quote = Some(c),
                None if source[from + offset..].starts_with(close) => {
                    let at = from + offset;
                    let trims_after = source[from..at].ends_with('-');
                    return Ok(Self {
                        inner: from..at - usize::from(trims_after),
                        end: at + 2,
                        is_block,
                        trims_before,
                        trims_after,
                    });
                }
                None => {}
            }
        }
        Err(Fault::new(
            start,
            format!("the tag is not closed with `{close}`"),
        ))
    }
}

/// The text up to `{% endraw %}`, where that tag ends, and whether it removes blanks after it.
fn raw(source: &str, from: usize, start: usize, trim: bool) -> Result<(&str, usize, bool), Fault> {
    let mut at = from;
    while let Some(offset) = source[at..].find("{%") {
        let open = at + offset;
        at = open + 2;
        let rest = &source[at..];
        let inner = rest.strip_prefix('-').unwrap_or(rest);
        let Some(tail) = inner.trim_start().strip_prefix("endraw") else {
            continue;
        };
        let tail = tail.trim_start();
        let (after, closed) = match tail.strip_prefix('-') {
            Some(tail) => (true, tail.strip_prefix("%}")),
            None => (false, tail.strip_prefix("%}")),
        };
        let Some(closed) = closed else { continue };
        let mut text = &source[from..open];
        if trim {
            text = text.trim_start();
        }
        if rest.starts_with('-') {
            text = text.trim_end();
        }
        return Ok((text, source.len() - closed.len(), after));
    }
    Err(Fault::new(start, "`{% raw %}` has no `{% endraw %}`"))
}

fn tokens(inner: &str, base: usize) -> Result<Vec<(Token, usize)>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = inner[at..].chars().next() {
        let rest = &inner[at..];
        let fault = |message: String| Fault::new(base + at, message);
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let (token, length) = match c {
            '"' | '\'' => {
                string(rest, c).ok_or_else(|| fault("a string is not closed".to_owned()))?
            }
            '0'..='9' => number(rest).ok_or_else(|| fault("this is no number".to_owned()))?,
            '-' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                number(rest).ok_or_else(|| fault("this is no number".to_owned()))?
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let length = rest.find(|c| !plain(c)).unwrap_or(rest.len());
                (Token::Name(rest[..length].to_owned()), length)
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let unknown = || {
                    fault(format!(
                        "`{}` is not part of the template language",
                        c.escape_debug()
                    ))
                };
                let sign = sign.ok_or_else(unknown)?;
                (Token::Sign(sign), sign.len())
            }
        };
        tokens.push((token, base + at));
        at += length;
    }
    Ok(tokens)
}

fn string(rest: &str, quote: char) -> Option<(Token, usize)> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            c if c == quote => return Some((Token::Literal(text.into()), at + 1)),
            '\\' => text.push(match characters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            }),
            c => text.push(c),
        }
    }
    None
}

fn number(rest: &str) -> Option<(Token, usize)> {
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let sign = usize::from(rest.starts_with('-'));
    let length = rest[sign..]
        .find(|c| !digits(c))
        .map_or(rest.len(), |end| end + sign);
    let text = &rest[..length];
    let number = match text.contains('.') {
        true => Number::from_f64(text.parse().ok()?)?,
        false => Number::from(text.parse::<i64>().ok()?),
    };
    Some((Token::Literal(number.into()), length))
}
