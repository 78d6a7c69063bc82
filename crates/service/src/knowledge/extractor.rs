//! Getting the text out of a file, as the process of its own that may die of it.
//!
//! It limits its own memory and time and [confines](super::confinement) itself before it looks at the file,
//! reads the file from its standard input and writes one line of JSON for everything that there is to say.

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

use super::confinement::{confined, limit};

/// The process ends with this where the file cannot be read; with 1 or 2 where it could not be set up.
const UNREADABLE: i32 = 3;

/// Stack of the thread that reads: some formats nest.
const STACK: usize = 64 << 20;

/// What `extract` is to do.
#[derive(Args, Clone, Debug)]
pub struct Task {
    /// What the file's beginning looks like.
    #[arg(long)]
    pub media: String,
    /// Most tokens of a chunk.
    #[arg(long)]
    pub tokens: usize,
    /// Tokens shared with the chunk before.
    #[arg(long)]
    pub overlap: usize,
    /// Most bytes of memory.
    #[arg(long)]
    pub memory: u64,
    /// Most seconds of work.
    #[arg(long)]
    pub seconds: u64,
    /// Directory of the model whose tokens are counted.
    #[arg(long)]
    pub model: Option<PathBuf>,
}

/// Does the work, as the process of its own. Answers when all is told.
pub fn work(task: Task) -> anyhow::Result<()> {
    limit(Resource::As, task.memory)?;
    limit(Resource::Cpu, task.seconds)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    let counter = match &task.model {
        Some(folder) => TokenCounter::of_model(folder)?,
        None => TokenCounter::Rough,
    };
    let done = confined(STACK, move |_| {
        work_in_one_thread()?;
        extract(&task, &counter)
    })?;
    // A panic, or a reader that is gone.
    if !matches!(done, Ok(Ok(()))) {
        std::process::exit(UNREADABLE);
    }
    Ok(())
}

/// What libraries would share out among threads, which nobody can start here, they do in this one.
fn work_in_one_thread() -> anyhow::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
    Ok(pool.use_current_thread().build_global()?)
}

fn extract(task: &Task, counter: &TokenCounter) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut say = |line: &Message| -> anyhow::Result<()> {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")?;
        // Progress is worth something only while it is new.
        Ok(out.flush()?)
    };
    let mut progress = |stage, done, all| {
        let _ = say(&Message::Progress(stage, done, all));
    };
    let parts = patchbay_documents::extract(&bytes, &task.media, &mut |done, all| {
        progress(Stage::Extract, done, all);
    });
    drop(bytes);
    let parts = match parts {
        Ok(parts) => parts,
        Err(Failure { code, detail }) => return say(&Message::Failure(code.to_owned(), detail)),
    };
    let pages = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    progress(Stage::Extract, pages, pages);
    let sizing = Sizing {
        most: task.tokens,
        overlap: task.overlap,
        count: &|text| counter.count(text),
    };
    let chunks = patchbay_documents::chunk(&parts, &sizing, &mut |done, all| {
        progress(Stage::Chunk, done, all);
    });
    if chunks.len() > MOST_CHUNKS {
        let detail = format!("It makes more than {MOST_CHUNKS} chunks. Split the file.");
        return say(&Message::Failure("too_large".to_owned(), detail));
    }
    for chunk in chunks {
        say(&Message::Chunk(chunk))?;
    }
    say(&Message::End(pages))
}
