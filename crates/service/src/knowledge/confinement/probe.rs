//! The probe attempts from inside the confinement what it has to prevent, and writes each result as a line of JSON.

use std::{
    fs::{File, OpenOptions, read_dir},
    io::{self, IoSliceMut, Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::{
        fs::OpenOptionsExt as _,
        net::UnixDatagram,
        process::{CommandExt as _, parent_id},
    },
    process::Command,
    thread,
};

use anyhow::Context as _;
use clap::Args;
use nix::{
    sys::{
        ptrace,
        uio::{RemoteIoVec, process_vm_readv},
    },
    unistd::Pid,
};
use rustix::process::test_kill_process;
use serde::{Deserialize, Serialize};

use super::{restrict_by_landlock, run_confined};

const STACK: usize = 1 << 20;
/// This program, even if its file was replaced or deleted.
const PROGRAM: &str = "/proc/self/exe";

/// Arguments of `confinement`.
#[derive(Args, Clone, Debug)]
pub struct ProbeArgs {
    /// Process whose memory the probe attempts to read; the parent process by default.
    #[arg(long)]
    pub process: Option<u32>,
}

/// One line of the probe's output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// The layers that are in effect.
    Layers {
        no_new_privs: bool,
        landlock: Option<u32>,
        seccomp: bool,
    },
    /// Name of an attempt under Landlock alone, and its error number; `None` if it succeeded.
    Landlock(String, Option<i32>),
    /// Name of an attempt under all layers, and its error number; `None` if it succeeded.
    All(String, Option<i32>),
}

/// Name of an attempt, and what it does.
type Attempt = (&'static str, Box<dyn FnOnce() -> io::Result<()>>);

/// Confines this process like the extraction process, and reports what it can do.
pub fn run(args: &ProbeArgs) -> anyhow::Result<()> {
    let process = args.process.unwrap_or_else(parent_id);
    let process = i32::try_from(process).context("--process")?;
    let under_landlock = thread::spawn(move || -> anyhow::Result<()> {
        restrict_by_landlock()?;
        run_attempts(landlock_attempts(process), Message::Landlock)
    });
    let panicked = |_| anyhow::anyhow!("an attempt panicked");
    under_landlock.join().map_err(panicked)??;
    let under_all = run_confined(STACK, move |layers| {
        write_message(&Message::Layers {
            no_new_privs: layers.no_new_privs,
            landlock: layers.landlock,
            seccomp: layers.seccomp,
        })?;
        run_attempts(landlock_attempts(process), Message::All)?;
        run_attempts(other_attempts(process), Message::All)
    });
    under_all?.map_err(panicked)?
}

/// Returns the names of all attempts.
pub(super) fn attempt_names() -> Vec<&'static str> {
    let attempts = landlock_attempts(0).into_iter().chain(other_attempts(0));
    attempts.map(|(name, _)| name).collect()
}

fn run_attempts(
    attempts: Vec<Attempt>,
    message: fn(String, Option<i32>) -> Message,
) -> anyhow::Result<()> {
    for (name, attempt) in attempts {
        let error = attempt().err();
        let error = error.map(|error| error.raw_os_error().unwrap_or_default());
        write_message(&message(name.to_owned(), error))?;
    }
    Ok(())
}

fn write_message(message: &Message) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, message)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Attempts that Landlock alone has to prevent.
fn landlock_attempts(process: i32) -> Vec<Attempt> {
    vec![
        ("read a file", Box::new(|| File::open(PROGRAM).map(drop))),
        ("list a folder", Box::new(|| read_dir("/").map(drop))),
        ("write a file", Box::new(write_file)),
        (
            "read another process's environment",
            Box::new(move || read_proc_file(process, "environ")),
        ),
        (
            "open another process's memory",
            Box::new(move || File::open(format!("/proc/{process}/mem")).map(drop)),
        ),
        (
            "listen to TCP",
            Box::new(|| TcpListener::bind("127.0.0.1:0").map(drop)),
        ),
        (
            "connect by TCP",
            Box::new(|| TcpStream::connect("127.0.0.1:9").map(drop)),
        ),
        (
            "signal another process",
            Box::new(move || Ok(test_kill_process(pid(process)?)?)),
        ),
    ]
}

/// Attempts that only the other layers prevent. The last one replaces this program if it succeeds.
fn other_attempts(process: i32) -> Vec<Attempt> {
    vec![
        (
            "send by UDP",
            Box::new(|| UdpSocket::bind("127.0.0.1:0").map(drop)),
        ),
        (
            "make a Unix socket",
            Box::new(|| UnixDatagram::unbound().map(drop)),
        ),
        (
            "read another process's memory",
            Box::new(move || read_memory(process)),
        ),
        (
            "trace another process",
            Box::new(move || {
                Ok(ptrace::seize(
                    Pid::from_raw(process),
                    ptrace::Options::empty(),
                )?)
            }),
        ),
        (
            "start a thread",
            Box::new(|| thread::Builder::new().spawn(|| ()).map(drop)),
        ),
        (
            "start a process",
            Box::new(|| Command::new(PROGRAM).arg("--version").spawn().map(drop)),
        ),
        (
            "become another program",
            Box::new(|| Err(Command::new(PROGRAM).arg("--version").exec())),
        ),
    ]
}

fn pid(process: i32) -> io::Result<rustix::process::Pid> {
    rustix::process::Pid::from_raw(process).ok_or(io::ErrorKind::InvalidInput.into())
}

/// Writes to an unnamed temporary file, which leaves nothing behind.
fn write_file() -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_TMPFILE);
    options.open(std::env::temp_dir()).map(drop)
}

fn read_proc_file(process: i32, name: &str) -> io::Result<()> {
    let mut file = File::open(format!("/proc/{process}/{name}"))?;
    file.read(&mut [0]).map(drop)
}

/// Reads from an unmapped page. If the access is allowed, the error is EFAULT, which does not count as denied.
fn read_memory(process: i32) -> io::Result<()> {
    let mut byte = [0];
    let page = RemoteIoVec { base: 0, len: 1 };
    let mut here = [IoSliceMut::new(&mut byte)];
    process_vm_readv(Pid::from_raw(process), &mut here, &[page])?;
    Ok(())
}
