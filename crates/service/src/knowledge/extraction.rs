//! Text extraction of a file in a separate process, which is this program (`patchbay-api extract`). If the process
//! dies, the cause of its death is reported as what is wrong with the file.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use futures_util::TryStreamExt as _;
use patchbay_documents::{
    Failure,
    protocol::{Bounds, Extracted, InvalidOutput, Output, OutputParser, Progress},
};
use patchbay_storage::Download;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, Command},
    sync::{oneshot, watch},
    time::timeout,
};

use crate::Service;

/// Size in bytes of the read buffer for the output of the process.
const READ_BUFFER: usize = 64 << 10;

/// How long the process may take to exit after its last output.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the extraction failed.
#[derive(Debug)]
pub enum ExtractionError {
    /// The file cannot be extracted: error code and message.
    File(String, String),
    /// An error independent of the file, worth a retry.
    Internal(String),
}

impl ExtractionError {
    fn file(code: &str, detail: impl Into<String>) -> Self {
        Self::File(code.to_owned(), detail.into())
    }
}

/// Extracts the text of a file, and reports the progress.
pub async fn extract(
    service: &Service,
    media: &str,
    (bytes, size): (Download, u64),
    progress: &watch::Sender<Progress>,
) -> Result<Extracted, ExtractionError> {
    let internal = |error: std::io::Error| ExtractionError::Internal(error.to_string());
    let mut child = command(service, media).spawn().map_err(internal)?;
    let input = child.stdin.take();
    let (sender, input_sent) = oneshot::channel();
    let run = async {
        let sent = async {
            let sent = write_input(input, bytes).await;
            let _ = sender.send(());
            // Without this, part of a file could be taken for the whole file.
            sent.map_err(ExtractionError::Internal)
        };
        match futures_util::try_join!(sent, read_output(&mut child, progress))? {
            (sent, Some(_)) if sent != size => Err(ExtractionError::Internal(
                "the file was not read to its end".to_owned(),
            )),
            (_, extracted) => Ok(extracted),
        }
    };
    let outcome = tokio::select! {
        outcome = run => outcome,
        error = watch_timeouts(service, input_sent) => Err(error),
    };
    if outcome.is_err() {
        let _ = child.kill().await;
    }
    let status = wait_for_exit(&mut child).await.map_err(internal)?;
    outcome?.ok_or_else(|| exit_error(status))
}

/// Returns when a timeout has passed: that of the download until the input is sent, then that of the extraction.
async fn watch_timeouts(service: &Service, input_sent: oneshot::Receiver<()>) -> ExtractionError {
    let settings = &service.settings.knowledge;
    if timeout(settings.upload_timeout, input_sent).await.is_err() {
        return ExtractionError::Internal(
            "the download from the object store timed out".to_owned(),
        );
    }
    tokio::time::sleep(settings.extract_timeout).await;
    timed_out()
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

/// Writes the file to the process, and returns how many bytes it has accepted.
async fn write_input(input: Option<ChildStdin>, mut bytes: Download) -> Result<u64, String> {
    let (mut sent, Some(mut input)) = (0, input) else {
        return Ok(0);
    };
    while let Some(block) = bytes.try_next().await.map_err(|error| error.to_string())? {
        // If the process has died, its exit status is the error to report.
        if input.write_all(&block).await.is_err() {
            return Ok(sent);
        }
        sent += block.len() as u64;
    }
    let _ = input.shutdown().await;
    Ok(sent)
}

/// Reads the output of the process; `None` if it ends before its last message.
async fn read_output(
    child: &mut Child,
    progress: &watch::Sender<Progress>,
) -> Result<Option<Extracted>, ExtractionError> {
    let Some(mut stdout) = child.stdout.take() else {
        return Ok(None);
    };
    let mut parser = OutputParser::new(Bounds::default());
    let mut buffer = vec![0; READ_BUFFER];
    loop {
        let length = stdout.read(&mut buffer).await;
        let length = length.map_err(|error| ExtractionError::Internal(error.to_string()))?;
        if length == 0 {
            return Ok(None);
        }
        let output = parser.push(&buffer[..length]);
        progress.send_replace(parser.progress());
        match output {
            Ok(Output::Incomplete) => {}
            Ok(Output::Complete(extracted)) => return Ok(Some(extracted)),
            Ok(Output::Failure(code, detail)) => return Err(ExtractionError::File(code, detail)),
            Err(InvalidOutput::TooLarge) => {
                let detail = "The file contains too much text. Split the file.";
                return Err(ExtractionError::file("too_large", detail));
            }
            Err(InvalidOutput::Malformed) => return Err(damaged()),
        }
    }
}

/// Waits for the exit of the process, and kills it after a timeout.
async fn wait_for_exit(child: &mut Child) -> std::io::Result<ExitStatus> {
    if let Ok(status) = timeout(EXIT_TIMEOUT, child.wait()).await {
        return status;
    }
    child.kill().await?;
    child.wait().await
}

fn timed_out() -> ExtractionError {
    let detail = "The text extraction timed out. Split the file, or save it again.";
    ExtractionError::file("timed_out", detail)
}

fn damaged() -> ExtractionError {
    let Failure { code, detail } = Failure::damaged();
    ExtractionError::file(code, detail)
}

/// Maps the exit status of a process that ended without its last message to an error.
fn exit_error(status: ExitStatus) -> ExtractionError {
    const XCPU: i32 = 24;
    const KILL: i32 = 9;
    const ABORT: i32 = 6;
    if matches!(status.code(), Some(1 | 2)) {
        return ExtractionError::Internal("the extraction process could not be set up".to_owned());
    }
    match status.signal() {
        Some(XCPU | KILL) => timed_out(),
        Some(ABORT) => {
            let detail =
                "The text extraction exceeded the memory limit. Split the file, or save it again.";
            ExtractionError::file("too_much_memory", detail)
        }
        _ => damaged(),
    }
}
