//! The output of the extractor process, line by line. The process has parsed untrusted files, so its output is
//! untrusted and accepted only within bounds.

use patchbay_domain::knowledge::Stage;
use serde::{Deserialize, Serialize};

use crate::Chunk;

/// Maximum chunks of one file.
pub const MOST_CHUNKS: usize = 50_000;
/// Maximum headings of a chunk: one of each level.
const MOST_HEADINGS: usize = 6;
/// Maximum characters of a failure's message.
const MOST_DETAIL: usize = 1000;
/// Known codes of failures.
const CODES: [&str; 6] = [
    "damaged",
    "encrypted",
    "encrypted_pdf",
    "no_text_found",
    "too_large",
    "unsupported_type",
];

/// One line of the output, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Stage, finished pages and all pages.
    Progress(Stage, u32, u32),
    /// A chunk, in order.
    Chunk(Chunk),
    /// The end of the chunks, with the number of pages.
    End(u32),
    /// No text could be extracted: code and message.
    Failure(String, String),
}

/// The result of an extraction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// Pages, slides or sheets; 1 if there are none.
    pub pages: u32,
    /// The chunks, in order.
    pub chunks: Vec<Chunk>,
}

/// The state of the output so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// It is not complete.
    Incomplete,
    /// It is complete.
    Complete(Extracted),
    /// No text could be extracted: code and message.
    Failure(String, String),
}

/// Why the output is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidOutput {
    /// It exceeds the bounds.
    TooLarge,
    /// It is not valid.
    Malformed,
}

/// Limits of the output.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Maximum bytes of a line.
    pub line: usize,
    /// Maximum bytes of all lines.
    pub output: usize,
    /// Maximum number of chunks.
    pub chunks: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            // A block of text under headings of the maximum size is smaller, even if every character is escaped.
            line: 8 << 20,
            output: 256 << 20,
            chunks: MOST_CHUNKS,
        }
    }
}

/// Stage, finished pages and all pages.
pub type Progress = (Stage, u32, u32);

/// Parses the output incrementally.
pub struct OutputParser {
    bounds: Bounds,
    received: usize,
    line: Vec<u8>,
    progress: Progress,
    chunks: Vec<Chunk>,
}

impl OutputParser {
    /// A parser without any input.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            received: 0,
            line: Vec::new(),
            progress: (Stage::Extract, 0, 0),
            chunks: Vec::new(),
        }
    }

    /// The last progress, also after the end: the output for a small file may arrive in one piece.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Parses the next bytes. After anything but [`Output::Incomplete`] the output is over.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<Output, InvalidOutput> {
        #[cfg(fuzz_planted)]
        if self.line.len() == 64 {
            piece = piece.strip_prefix(b"\n").unwrap_or(piece);
        }
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            self.append(&piece[..end], 1)?;
            piece = &piece[end + 1..];
            let line = serde_json::from_slice(&self.line);
            self.line.clear();
            match line.map_err(|_| InvalidOutput::Malformed)? {
                Message::Progress(stage, done, all) => self.advance((stage, done, all))?,
                Message::Chunk(chunk) => self.add(chunk)?,
                Message::End(pages) => {
                    let chunks = std::mem::take(&mut self.chunks);
                    return Ok(Output::Complete(Extracted { pages, chunks }));
                }
                Message::Failure(code, detail) => return Ok(failure(code, &detail)),
            }
        }
        self.append(piece, 0)?;
        Ok(Output::Incomplete)
    }

    /// Appends to the current line.
    fn append(&mut self, part: &[u8], end: usize) -> Result<(), InvalidOutput> {
        self.received = self.received.saturating_add(part.len() + end);
        if self.received > self.bounds.output {
            return Err(InvalidOutput::TooLarge);
        }
        if self.line.len() + part.len() > self.bounds.line {
            return Err(InvalidOutput::Malformed);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    /// Stages are in order; the later ones do not belong to this process.
    fn advance(&mut self, progress: Progress) -> Result<(), InvalidOutput> {
        let (stage, ..) = progress;
        if stage < self.progress.0 || stage > Stage::Chunk {
            return Err(InvalidOutput::Malformed);
        }
        self.progress = progress;
        Ok(())
    }

    fn add(&mut self, chunk: Chunk) -> Result<(), InvalidOutput> {
        if self.chunks.len() >= self.bounds.chunks {
            return Err(InvalidOutput::TooLarge);
        }
        let texts = || chunk.headings.iter().chain([&chunk.text]);
        let sound = chunk.headings.len() <= MOST_HEADINGS
            && chunk.starts_at <= chunk.ends_at
            && texts().all(|text| !text.contains(is_unprintable));
        if !sound {
            return Err(InvalidOutput::Malformed);
        }
        self.chunks.push(chunk);
        Ok(())
    }
}

fn is_unprintable(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

fn failure(code: String, detail: &str) -> Output {
    let known = CODES.contains(&&*code);
    let code = if known { code } else { "damaged".to_owned() };
    let printable = detail.chars().filter(|c| !is_unprintable(*c));
    Output::Failure(code, printable.take(MOST_DETAIL).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text: &str) -> Chunk {
        Chunk {
            page: None,
            headings: Vec::new(),
            starts_at: 0,
            ends_at: text.chars().count(),
            tokens: 1,
            text: text.to_owned(),
        }
    }

    fn lines(lines: &[Message]) -> Vec<u8> {
        let line = |line| serde_json::to_string(line).unwrap() + "\n";
        lines.iter().map(line).collect::<String>().into_bytes()
    }

    fn parse(text: &[u8]) -> Result<Output, InvalidOutput> {
        let small = Bounds {
            line: 300,
            output: 1000,
            chunks: 2,
        };
        OutputParser::new(small).push(text)
    }

    #[test]
    fn output_is_parsed_the_same_in_pieces_of_any_size() {
        let output = lines(&[
            Message::Progress(Stage::Extract, 1, 2),
            Message::Progress(Stage::Chunk, 1, 3),
            Message::Chunk(chunk("a\nb")),
            Message::End(2),
        ]);
        let all = Output::Complete(Extracted {
            pages: 2,
            chunks: vec![chunk("a\nb")],
        });
        for size in [1, 7, output.len()] {
            let mut parser = OutputParser::new(Bounds::default());
            let outputs: Vec<_> = output.chunks(size).map(|p| parser.push(p)).collect();
            let (last, before) = outputs.split_last().unwrap();
            assert!(
                before
                    .iter()
                    .all(|output| *output == Ok(Output::Incomplete))
            );
            assert_eq!(last.as_ref(), Ok(&all));
            assert_eq!(parser.progress(), (Stage::Chunk, 1, 3), "pieces of {size}");
        }
    }

    #[test]
    fn a_process_that_was_taken_over_fills_no_memory() {
        let mut headed = chunk("x");
        headed.headings = vec![String::new(); 7];
        let mut backwards = chunk("x");
        backwards.starts_at = 2;
        let flip = [
            Message::Progress(Stage::Chunk, 0, 1),
            Message::Progress(Stage::Extract, 0, 1),
        ];
        for (output, why) in [
            (vec![b' '; 301], InvalidOutput::Malformed),
            (b"\n".to_vec(), InvalidOutput::Malformed),
            (
                lines(&vec![Message::Progress(Stage::Extract, 0, 1); 50]),
                InvalidOutput::TooLarge,
            ),
            (
                lines(&vec![Message::Chunk(chunk("")); 3]),
                InvalidOutput::TooLarge,
            ),
            (lines(&[Message::Chunk(headed)]), InvalidOutput::Malformed),
            (
                lines(&[Message::Chunk(backwards)]),
                InvalidOutput::Malformed,
            ),
            (
                lines(&[Message::Chunk(chunk("\0"))]),
                InvalidOutput::Malformed,
            ),
            (lines(&flip), InvalidOutput::Malformed),
            (
                lines(&[Message::Progress(Stage::Index, 0, 1)]),
                InvalidOutput::Malformed,
            ),
        ] {
            assert_eq!(
                parse(&output),
                Err(why),
                "{}",
                String::from_utf8_lossy(&output)
            );
        }
    }

    #[test]
    fn the_message_of_a_failure_is_kept_within_bounds() {
        let output = lines(&[Message::Failure("<b>".into(), "a\0b".into())]);
        assert_eq!(
            parse(&output),
            Ok(Output::Failure("damaged".into(), "ab".into()))
        );
        let output = lines(&[Message::Failure("encrypted".into(), "c".into())]);
        assert_eq!(
            parse(&output),
            Ok(Output::Failure("encrypted".into(), "c".into()))
        );
    }
}
