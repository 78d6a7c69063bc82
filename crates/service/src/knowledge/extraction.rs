//! Having the text of a file got out by a process of its own: this very program (`patchbay-api extract`).
//! What it was doing when it died is what is wrong with the file.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use futures_util::TryStreamExt as _;
use patchbay_documents::protocol::{Bounds, Distrust, Extracted, Heard, Listener, Progress};
use patchbay_storage::Download;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, Command},
    sync::{oneshot, watch},
    time::timeout,
};

use crate::Service;

/// Bytes that are read from the process at a time.
const PIECE: usize = 64 << 10;

/// How long the process may take to end when it has said all it will.
const LAST_BREATH: Duration = Duration::from_secs(5);

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
    service: &Service,
    media: &str,
    (bytes, size): (Download, u64),
    progress: &watch::Sender<Progress>,
) -> Result<Extracted, Fault> {
    let ours = |error: std::io::Error| Fault::Ours(error.to_string());
    let mut child = command(service, media).spawn().map_err(ours)?;
    let input = child.stdin.take();
    let (sender, all_sent) = oneshot::channel();
    let read = async {
        let sent = async {
            let sent = feed(input, bytes).await;
            let _ = sender.send(());
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
        fault = too_late(service, all_sent) => Err(fault),
    };
    if outcome.is_err() {
        let _ = child.kill().await;
    }
    let status = end(&mut child).await.map_err(ours)?;
    outcome?.ok_or_else(|| died(status))
}

/// Returns when it takes too long: the store until the file is here, or then the file.
async fn too_late(service: &Service, all_sent: oneshot::Receiver<()>) -> Fault {
    let settings = &service.settings.knowledge;
    if timeout(settings.upload_timeout, all_sent).await.is_err() {
        return Fault::Ours("the object store took too long".to_owned());
    }
    tokio::time::sleep(settings.extract_timeout).await;
    too_long()
}

fn command(service: &Service, media: &str) -> Command {
    let settings = &service.settings.knowledge;
    let mut command = Command::new(settings.program());
    let seconds = settings.extract_timeout.as_secs().max(1);
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
            Ok(Heard::More) => {}
            Ok(Heard::All(extracted)) => return Ok(Some(extracted)),
            Ok(Heard::Failure(code, detail)) => return Err(Fault::File(code, detail)),
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
