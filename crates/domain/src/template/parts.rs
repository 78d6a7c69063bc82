//! Splits a source into text and tags.

use super::{
    bounds::{MAX_TAG, MAX_TAGS},
    fault::Fault,
    lexer::{Tag, tokens},
};

/// A part of a template.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// Literal text.
    Text(&'a str),
    /// The inside of `{{ }}`.
    Write(Tag),
    /// The inside of `{% %}`.
    Block(Tag),
}

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

/// Rejects tags of full Jinja by name, before their contents are parsed.
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

/// The start of the first tag that is not within a comment; comments are literal text. The last of them ends at
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

/// The position of a tag.
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

/// The text up to `{% endraw %}`, the end of that tag, and whether it trims blanks after it.
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
