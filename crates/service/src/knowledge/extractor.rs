//! The extraction process, which is separate because a file may crash it.
//!
//! It limits its memory and CPU time and [confines](super::confinement) itself before it reads the file from
//! standard input, and writes one JSON message per line to standard output.

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
};

use clap::Args;
use patchbay_documents::{
    Failure, Sizing,
    protocol::{MOST_CHUNKS, Message},
};
use patchbay_domain::knowledge::Stage;
use patchbay_vectors::TokenCounter;
use rustix::process::Resource;

use super::confinement::{run_confined, set_limit};

/// Exit code if the file cannot be read; 1 or 2 mean that the process could not be set up.
const UNREADABLE: i32 = 3;

/// Stack size of the extracting thread in bytes; nested formats need a large one.
const STACK: usize = 64 << 20;

/// Arguments of `extract`.
#[derive(Args, Clone, Debug)]
pub struct ExtractArgs {
    /// Media type of the file, as detected from its first bytes.
    #[arg(long)]
    pub media: String,
    /// Maximum size of a chunk in tokens.
    #[arg(long)]
    pub tokens: usize,
    /// Overlap with the previous chunk in tokens.
    #[arg(long)]
    pub overlap: usize,
    /// Maximum memory in bytes.
    #[arg(long)]
    pub memory: u64,
    /// Maximum CPU time in seconds.
    #[arg(long)]
    pub seconds: u64,
    /// Directory of the embedding model whose tokenizer counts the tokens.
    #[arg(long)]
    pub model: Option<PathBuf>,
}

/// Runs the extraction process. Returns when all output has been written, and exits if the file cannot be read.
pub fn run(args: ExtractArgs) -> anyhow::Result<()> {
    set_limit(Resource::As, args.memory)?;
    set_limit(Resource::Cpu, args.seconds)?;
    set_limit(Resource::Core, 0)?;
    set_limit(Resource::Fsize, 0)?;
    let counter = match &args.model {
        Some(folder) => TokenCounter::of_model(folder)?,
        None => TokenCounter::Rough,
    };
    let result = run_confined(STACK, move |_| {
        use_single_thread()?;
        extract(&args, &counter)
    })?;
    // The thread panicked, or the reader has closed the pipe.
    if !matches!(result, Ok(Ok(()))) {
        std::process::exit(UNREADABLE);
    }
    Ok(())
}

/// Makes rayon run its work in this thread, because the confinement allows no further threads.
fn use_single_thread() -> anyhow::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
    Ok(pool.use_current_thread().build_global()?)
}

fn extract(args: &ExtractArgs, counter: &TokenCounter) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut write_message = |message: &Message| -> anyhow::Result<()> {
        serde_json::to_writer(&mut out, message)?;
        out.write_all(b"\n")?;
        // Progress is only useful if it arrives at once.
        Ok(out.flush()?)
    };
    let mut progress = |stage, done, all| {
        let _ = write_message(&Message::Progress(stage, done, all));
    };
    let parts = patchbay_documents::extract(&bytes, &args.media, &mut |done, all| {
        progress(Stage::Extract, done, all);
    });
    drop(bytes);
    let parts = match parts {
        Ok(parts) => parts,
        Err(Failure { code, detail }) => {
            return write_message(&Message::Failure(code.to_owned(), detail));
        }
    };
    let pages = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    progress(Stage::Extract, pages, pages);
    let sizing = Sizing {
        most: args.tokens,
        overlap: args.overlap,
        count: &|text| counter.count(text),
    };
    let chunks = patchbay_documents::chunk(&parts, &sizing, &mut |done, all| {
        progress(Stage::Chunk, done, all);
    });
    if chunks.len() > MOST_CHUNKS {
        let detail = format!("It makes more than {MOST_CHUNKS} chunks. Split the file.");
        return write_message(&Message::Failure("too_large".to_owned(), detail));
    }
    for chunk in chunks {
        write_message(&Message::Chunk(chunk))?;
    }
    write_message(&Message::End(pages))
}
