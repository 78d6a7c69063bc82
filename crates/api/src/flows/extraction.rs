//! Getting the text out of a file: in a process of its own, which may die of it.
//!
//! The process is this very program (`patchbay-api extract`). It limits its own memory and time and
//! [confines](crate::confinement) itself before it looks at the file, reads the file from its standard
//! input and writes one line of JSON for everything that there is to tell. What it was doing when it died
//! is what is wrong with the file.

use std::{
    io::{Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use clap::Args;
use futures_util::TryStreamExt as _;
use patchbay_documents::{
    Failure, Sizing,
    protocol::{Bounds, Distrust, Extracted, Line, Listener, MOST_CHUNKS, Progress, Told},
};
use patchbay_domain::knowledge::Stage;
use patchbay_storage::Download;
use patchbay_vectors::TokenCounter;
use rustix::process::Resource;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, Command},
    sync::{oneshot, watch},
    time::timeout,
};

use crate::{
    app::App,
    confinement::{confined, limit},
    settings::KnowledgeSettings,
};

/// Bytes that are read from the process at a time.
const PIECE: usize = 64 << 10;
/// How long the process may take to end when it has said all it will.
const LAST_BREATH: Duration = Duration::from_secs(5);
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
        share_with_nobody()?;
        tell(&task, &counter)
    })?;
    // A panic, or nobody who listens: the file's fault, or nobody's.
    if !matches!(done, Ok(Ok(()))) {
        std::process::exit(UNREADABLE);
    }
    Ok(())
}

/// What libraries would share out among threads, which nobody can start here, they do in this one.
fn share_with_nobody() -> anyhow::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
    Ok(pool.use_current_thread().build_global()?)
}

fn tell(task: &Task, counter: &TokenCounter) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut say = |line: &Line| -> anyhow::Result<()> {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")?;
        // Progress is worth something only while it is new.
        Ok(out.flush()?)
    };
    let mut progress = |stage, done, all| {
        let _ = say(&Line::Progress(stage, done, all));
    };
    let parts = patchbay_documents::extract(&bytes, &task.media, &mut |done, all| {
        progress(Stage::Extract, done, all);
    });
    drop(bytes);
    let parts = match parts {
        Ok(parts) => parts,
        Err(Failure { code, detail }) => return say(&Line::Failure(code.to_owned(), detail)),
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
        return say(&Line::Failure("too_large".to_owned(), detail));
    }
    for chunk in chunks {
        say(&Line::Chunk(chunk))?;
    }
    say(&Line::End(pages))
}

/// Why nothing came out.
#[derive(Debug)]
pub enum Fault {
    /// It is the file's own fault: a code, and words.
    File(String, String),
    /// It is ours; worth another try.
    Ours(String),
}

impl Fault {
    fn file(code: &str, detail: impl Into<String>) -> Self {
        Self::File(code.to_owned(), detail.into())
    }
}

/// Has the text of a file got out, and tells how far it is.
pub async fn extract(
    app: &App,
    media: &str,
    (bytes, size): (Download, u64),
    progress: &watch::Sender<Progress>,
) -> Result<Extracted, Fault> {
    let ours = |error: std::io::Error| Fault::Ours(error.to_string());
    let mut child = command(app, media).spawn().map_err(ours)?;
    let input = child.stdin.take();
    let (told, all_sent) = oneshot::channel();
    let read = async {
        let sent = async {
            let sent = feed(input, bytes).await;
            let _ = told.send(());
            // Half a file may look like a whole one.
            sent.map_err(Fault::Ours)
        };
        match futures_util::try_join!(sent, listen(&mut child, progress))? {
            (sent, Some(_)) if sent != size => {
                Err(Fault::Ours("not all of the file was read".to_owned()))
            }
            (_, read) => Ok(read),
        }
    };
    let outcome = tokio::select! {
        outcome = read => outcome,
        fault = too_late(app, all_sent) => Err(fault),
    };
    if outcome.is_err() {
        let _ = child.kill().await;
    }
    let status = end(&mut child).await.map_err(ours)?;
    outcome?.ok_or_else(|| died(status))
}

/// Returns when it takes too long: the store until the file is here, or then the file.
async fn too_late(app: &App, all_sent: oneshot::Receiver<()>) -> Fault {
    let settings = &app.settings.knowledge;
    if timeout(settings.upload_timeout.into(), all_sent)
        .await
        .is_err()
    {
        return Fault::Ours("the object store took too long".to_owned());
    }
    tokio::time::sleep(settings.extract_timeout.into()).await;
    too_long()
}

/// The program that reads files.
pub fn program(settings: &KnowledgeSettings) -> &Path {
    // Also where the file was replaced since.
    let this = Path::new("/proc/self/exe");
    settings.extractor.as_deref().unwrap_or(this)
}

fn command(app: &App, media: &str) -> Command {
    let settings = &app.settings.knowledge;
    let mut command = Command::new(program(settings));
    let seconds = u64::from(settings.extract_timeout.seconds()).max(1);
    command
        .env_clear()
        .args(["extract", "--media", media])
        .args(["--tokens", &settings.chunk_tokens.to_string()])
        .args(["--overlap", &settings.chunk_overlap.to_string()])
        .args(["--memory", &settings.extract_memory.to_string()])
        .args(["--seconds", &seconds.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if let Some(folder) = &settings.embedding_directory {
        command.arg("--model").arg(folder);
    }
    command
}

/// Answers how many bytes the process has taken.
async fn feed(input: Option<ChildStdin>, mut bytes: Download) -> Result<u64, String> {
    let (mut sent, Some(mut input)) = (0, input) else {
        return Ok(0);
    };
    while let Some(block) = bytes.try_next().await.map_err(|error| error.to_string())? {
        // A process that has died says so by its end.
        if input.write_all(&block).await.is_err() {
            return Ok(sent);
        }
        sent += block.len() as u64;
    }
    let _ = input.shutdown().await;
    Ok(sent)
}

/// Reads what the process tells; none where it ends before the end.
async fn listen(
    child: &mut Child,
    progress: &watch::Sender<Progress>,
) -> Result<Option<Extracted>, Fault> {
    let Some(mut output) = child.stdout.take() else {
        return Ok(None);
    };
    let mut listener = Listener::new(Bounds::default());
    let mut piece = vec![0; PIECE];
    loop {
        let length = output.read(&mut piece).await;
        let length = length.map_err(|error| Fault::Ours(error.to_string()))?;
        if length == 0 {
            return Ok(None);
        }
        let heard = listener.hear(&piece[..length]);
        progress.send_replace(listener.progress());
        match heard {
            Ok(Told::More) => {}
            Ok(Told::All(extracted)) => return Ok(Some(extracted)),
            Ok(Told::Failure(code, detail)) => return Err(Fault::File(code, detail)),
            Err(Distrust::TooMuch) => {
                let detail = "There is more text in it than is read. Split the file.";
                return Err(Fault::file("too_large", detail));
            }
            Err(Distrust::Nonsense) => return Err(damaged()),
        }
    }
}

/// How the process ended. One that says nothing any more and stays is ended.
async fn end(child: &mut Child) -> std::io::Result<ExitStatus> {
    if let Ok(status) = timeout(LAST_BREATH, child.wait()).await {
        return status;
    }
    child.kill().await?;
    child.wait().await
}

fn too_long() -> Fault {
    let detail = "It took too long to get the text out. Split the file, or save it anew.";
    Fault::file("timed_out", detail)
}

fn damaged() -> Fault {
    let detail = "The file could not be read: it is damaged, or made in a way that nobody expects.";
    Fault::file("damaged", detail)
}

/// What it means that the process ended without an end.
fn died(status: ExitStatus) -> Fault {
    const XCPU: i32 = 24;
    const KILL: i32 = 9;
    const ABORT: i32 = 6;
    if matches!(status.code(), Some(1 | 2)) {
        return Fault::Ours("the reading process could not be set up".to_owned());
    }
    match status.signal() {
        Some(XCPU | KILL) => too_long(),
        Some(ABORT) => {
            let detail = "Getting the text out took more memory than is allowed. Split the file, or save it anew.";
            Fault::file("too_much_memory", detail)
        }
        _ => damaged(),
    }
}
