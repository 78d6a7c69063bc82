//! Output of the extractor process.

use arbitrary::{Result, Unstructured};
use patchbay_documents::{
    Chunk,
    protocol::{Bounds, Extracted, InvalidOutput, Message, Output, OutputParser, Progress},
};
use patchbay_domain::knowledge::Stage;

/// Small, so that they are reached.
const BOUNDS: Bounds = Bounds {
    line: 512,
    output: 4096,
    chunks: 6,
};

/// Any bytes; and valid lines.
pub fn target(data: &[u8]) {
    raw(data);
    let _ = lines(&mut Unstructured::new(data));
}

/// The result does not depend on how the output is split.
fn raw(data: &[u8]) {
    let Some((cut, output)) = data.split_first() else {
        return;
    };
    let cut = usize::from(cut % 40) + 1;
    let whole = parse(output, output.len().max(1));
    assert_eq!(parse(output, cut), whole, "in pieces of {cut}");
}

/// The result of all of it, in pieces of this size.
fn parse(
    output: &[u8],
    cut: usize,
) -> std::result::Result<Option<(Output, Progress)>, InvalidOutput> {
    let mut parser = OutputParser::new(BOUNDS);
    let mut left = output;
    while !left.is_empty() {
        let (piece, rest) = left.split_at(cut.min(left.len()));
        left = rest;
        match parser.push(piece)? {
            Output::Incomplete => {}
            output => {
                is_within_bounds(&output);
                return Ok(Some((output, parser.progress())));
            }
        }
    }
    Ok(None)
}

fn is_within_bounds(output: &Output) {
    match output {
        Output::Complete(Extracted { chunks, .. }) => {
            assert!(chunks.len() <= BOUNDS.chunks);
            for Chunk {
                headings,
                starts_at,
                ends_at,
                text,
                ..
            } in chunks
            {
                assert!(headings.len() <= 6 && starts_at <= ends_at);
                assert!(!text.contains('\0') && headings.iter().all(|text| !text.contains('\0')));
            }
        }
        Output::Failure(code, detail) => {
            assert!(
                code.bytes()
                    .all(|byte| byte == b'_' || byte.is_ascii_lowercase())
            );
            assert!(!detail.contains('\0') && detail.chars().count() <= 1000);
        }
        Output::Incomplete => {}
    }
}

/// Valid output within bounds is accepted.
fn lines(u: &mut Unstructured<'_>) -> Result<()> {
    let cut = u.int_in_range(1..=40)?;
    let chunks = (0..u.int_in_range(0..=6)?).map(|_| chunk(u));
    let chunks = chunks.collect::<Result<Vec<_>>>()?;
    let pages: u32 = u.arbitrary()?;
    let mut lines = vec![
        Message::Progress(Stage::Extract, 1, pages),
        Message::Progress(Stage::Chunk, 0, 1),
    ];
    lines.extend(chunks.iter().cloned().map(Message::Chunk));
    lines.push(Message::End(pages));
    let lines = lines
        .iter()
        .map(|line| serde_json::to_string(line).expect("is JSON") + "\n");
    let lines: Vec<_> = lines.collect();
    let output = lines.concat();
    if lines.iter().all(|line| line.len() <= BOUNDS.line) && output.len() <= BOUNDS.output {
        let all = Output::Complete(Extracted { pages, chunks });
        assert_eq!(
            parse(output.as_bytes(), cut),
            Ok(Some((all, (Stage::Chunk, 0, 1)))),
            "{output} in pieces of {cut}"
        );
    }
    Ok(())
}

fn chunk(u: &mut Unstructured<'_>) -> Result<Chunk> {
    let starts_at = usize::from(u.arbitrary::<u16>()?);
    let headings = (0..u.int_in_range(0..=6)?).map(|_| text(u));
    let headings = headings.collect::<Result<_>>()?;
    let text = text(u)?;
    Ok(Chunk {
        page: u.arbitrary()?,
        headings,
        starts_at,
        ends_at: starts_at + text.chars().count(),
        tokens: usize::from(u.arbitrary::<u16>()?),
        text,
    })
}

fn text(u: &mut Unstructured<'_>) -> Result<String> {
    let text: String = u.arbitrary()?;
    let keep = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    Ok(text.chars().filter(keep).collect())
}
