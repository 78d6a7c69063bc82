//! Splits text into chunks of a size that a model can embed, at natural boundaries, each with its position.

use serde::{Deserialize, Serialize};
use text_splitter::{ChunkConfig, ChunkSizer, MarkdownSplitter, TextSplitter};

use crate::{Part, Progress};

/// Bytes that are split at a time: the splitter's time grows faster than the input.
const BLOCK: usize = 128 << 10;

/// Sizes of chunks.
pub struct Sizing<'a> {
    /// Maximum tokens of a chunk.
    pub most: usize,
    /// Approximate number of tokens that a chunk shares with the previous one.
    pub overlap: usize,
    /// Counts the tokens of a text.
    pub count: &'a dyn Fn(&str) -> usize,
}

struct Counter<'a>(&'a dyn Fn(&str) -> usize);

impl ChunkSizer for Counter<'_> {
    fn size(&self, chunk: &str) -> usize {
        (self.0)(chunk)
    }
}

/// A searchable part of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Page, slide or sheet, from 1.
    pub page: Option<u32>,
    /// The headings above it, the outermost first.
    pub headings: Vec<String>,
    /// Its start in the text of the document, in characters.
    pub starts_at: usize,
    /// Its end.
    pub ends_at: usize,
    /// Its number of tokens.
    pub tokens: usize,
    /// The text.
    pub text: String,
}

/// The chunks of a document, in order. The document's text is the concatenation of its parts.
pub fn chunk(parts: &[Part], sizing: &Sizing<'_>, progress: Progress<'_>) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut headings = Headings::default();
    let mut start = 0;
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    for (number, part) in (1..).zip(parts) {
        for block in blocks(&part.text) {
            split(part, block, sizing, &mut headings, start, &mut chunks);
            start += block.chars().count();
        }
        progress(number, count);
    }
    chunks
}

fn split(
    part: &Part,
    block: &str,
    sizing: &Sizing<'_>,
    headings: &mut Headings,
    start: usize,
    chunks: &mut Vec<Chunk>,
) {
    let config = ChunkConfig::new(sizing.most)
        .with_sizer(Counter(sizing.count))
        .with_trim(true);
    // The splitter refuses only an overlap that is not smaller than the size.
    let Ok(config) = config.with_overlap(sizing.overlap.min(sizing.most.saturating_sub(1))) else {
        return;
    };
    let mut seen = 0;
    let mut add = |byte: usize, at: usize, text: &str| {
        if part.is_markdown && byte > seen {
            headings.pass(&block[seen..byte]);
            seen = byte;
        }
        let own = if part.is_markdown {
            headings.with(text)
        } else {
            Vec::new()
        };
        chunks.push(Chunk {
            page: part.page,
            headings: own,
            starts_at: start + at,
            ends_at: start + at + text.chars().count(),
            tokens: (sizing.count)(text),
            text: text.to_owned(),
        });
    };
    if part.is_markdown {
        let splitter = MarkdownSplitter::new(config);
        for found in splitter.chunk_char_indices(block) {
            add(found.byte_offset, found.char_offset, found.chunk);
        }
        headings.pass(&block[seen..]);
    } else {
        let splitter = TextSplitter::new(config);
        for found in splitter.chunk_char_indices(block) {
            add(found.byte_offset, found.char_offset, found.chunk);
        }
    }
}

/// The text in blocks that end with a line, or at least with a character.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len().min(BLOCK);
        if end < rest.len() {
            end = rest.floor_char_boundary(end);
            end = rest[..end].rfind('\n').map_or(end, |line| line + 1);
        }
        let (block, after) = rest.split_at(end);
        rest = after;
        Some(block)
    })
}

/// The headings above a position in a Markdown text.
#[derive(Default)]
struct Headings {
    path: Vec<(usize, String)>,
    in_code: bool,
}

impl Headings {
    /// Advances behind this text.
    fn pass(&mut self, text: &str) {
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                self.in_code = !self.in_code;
            }
            if let Some((level, title)) = heading(line).filter(|_| !self.in_code) {
                self.path.retain(|(above, _)| *above < level);
                self.path.push((level, title.to_owned()));
            }
        }
    }

    /// The headings of a chunk, which may begin with some of its own.
    fn with(&self, text: &str) -> Vec<String> {
        let mut path = self.path.clone();
        for line in text
            .lines()
            .take_while(|line| line.trim().is_empty() || heading(line).is_some())
        {
            if let Some((level, title)) = heading(line) {
                path.retain(|(above, _)| *above < level);
                path.push((level, title.to_owned()));
            }
        }
        path.into_iter().map(|(_, title)| title).collect()
    }
}

/// Level and title of a heading.
fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    let title = line.get(level..)?.strip_prefix(' ')?;
    let title = title.trim().trim_end_matches('#').trim();
    ((1..=6).contains(&level) && !title.is_empty()).then_some((level, title))
}
