//! Tries from inside what the confinement is there to prevent, and tells of each try in a line of JSON.

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

use super::{confined, deny_paths};

const STACK: usize = 1 << 20;
/// This program, whatever became of its file.
const PROGRAM: &str = "/proc/self/exe";

/// What `confinement` is to do.
#[derive(Args, Clone, Debug)]
pub struct Probe {
    /// The process whose memory is tried; the one that has started this by default.
    #[arg(long)]
    pub process: Option<u32>,
}

/// One line of the probe's output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// Which layers were put on.
    Layers {
        no_new_privs: bool,
        landlock: Option<u32>,
        seccomp: bool,
    },
    /// A try under Landlock alone, and its error; none where it succeeded.
    Landlock(String, Option<i32>),
    /// A try under all layers.
    All(String, Option<i32>),
}

/// Something that must fail, and what it is.
type Try = (&'static str, Box<dyn FnOnce() -> io::Result<()>>);

/// Confines this process as a reading one is, and tells what it can do nevertheless.
pub fn run(probe: &Probe) -> anyhow::Result<()> {
    let process = probe.process.unwrap_or_else(parent_id);
    let process = i32::try_from(process).context("--process")?;
    let under_landlock = thread::spawn(move || -> anyhow::Result<()> {
        deny_paths()?;
        report(reaching(process), Message::Landlock)
    });
    let panicked = |_| anyhow::anyhow!("a try panicked");
    under_landlock.join().map_err(panicked)??;
    let under_all = confined(STACK, move |layers| {
        say(&Message::Layers {
            no_new_privs: layers.no_new_privs,
            landlock: layers.landlock,
            seccomp: layers.seccomp,
        })?;
        report(reaching(process), Message::All)?;
        report(beyond(process), Message::All)
    });
    under_all?.map_err(panicked)?
}

/// The names of all tries.
pub(super) fn names() -> Vec<&'static str> {
    let tries = reaching(0).into_iter().chain(beyond(0));
    tries.map(|(name, _)| name).collect()
}

fn report(tries: Vec<Try>, line: fn(String, Option<i32>) -> Message) -> anyhow::Result<()> {
    for (name, attempt) in tries {
        let error = attempt().err();
        let error = error.map(|error| error.raw_os_error().unwrap_or_default());
        say(&line(name.to_owned(), error))?;
    }
    Ok(())
}

fn say(line: &Message) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// What Landlock is there to prevent, too.
fn reaching(process: i32) -> Vec<Try> {
    vec![
        ("read a file", Box::new(|| File::open(PROGRAM).map(drop))),
        ("list a folder", Box::new(|| read_dir("/").map(drop))),
        ("write a file", Box::new(write_file)),
        (
            "read another process's environment",
            Box::new(move || read_of(process, "environ")),
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

/// What only the other layers prevent. The last would take this program's place.
fn beyond(process: i32) -> Vec<Try> {
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

/// Into a file without a name, which is gone at once.
fn write_file() -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_TMPFILE);
    options.open(std::env::temp_dir()).map(drop)
}

fn read_of(process: i32, name: &str) -> io::Result<()> {
    let mut file = File::open(format!("/proc/{process}/{name}"))?;
    file.read(&mut [0]).map(drop)
}

/// A page that nobody has: who may look is told that it is not there.
fn read_memory(process: i32) -> io::Result<()> {
    let mut byte = [0];
    let page = RemoteIoVec { base: 0, len: 1 };
    let mut here = [IoSliceMut::new(&mut byte)];
    process_vm_readv(Pid::from_raw(process), &mut here, &[page])?;
    Ok(())
}
