//! Child processes that never outlive this one.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read as _, Seek as _},
    net::{TcpListener, UdpSocket},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::cache;

/// The feature of tests that releases do not have: points at which the service crashes or panics on demand.
pub const FAULTS: &str = "patchbay-api/fault-injection";
/// The stack of threads in builds without optimisation, where a job's nested futures take most of the usual 2 MiB.
pub const STACK: (&str, &str) = ("RUST_MIN_STACK", "8388608");

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Handles Ctrl-C and SIGTERM, so that child processes are stopped.
pub fn catch_signals() -> Result<()> {
    Ok(ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::Relaxed)
    })?)
}

/// Whether a signal was received.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// A server that runs until it is dropped.
pub struct Server {
    name: &'static str,
    child: Child,
    patience: Duration,
    command: Command,
    log: PathBuf,
}

impl Server {
    /// Starts a server with its output in `log`.
    pub fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self> {
        let mut command = copy(command);
        let child = spawn(name, &mut command, File::create(log)?)?;
        Ok(Self {
            name,
            child,
            patience: Duration::from_secs(10),
            command,
            log: log.to_owned(),
        })
    }

    /// Kills it as a crash would (or stops it gracefully), and restarts it.
    pub fn restart(&mut self, gently: bool) -> Result<()> {
        match gently {
            true => end(&mut self.child, self.patience),
            false => end_at_once(&mut self.child),
        }
        self.start_again()
    }

    /// Starts it once more, after it has ended. Its log goes on.
    pub fn start_again(&mut self) -> Result<()> {
        let log = File::options().append(true).open(&self.log)?;
        self.child = spawn(self.name, &mut self.command, log)?;
        Ok(())
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        end_at_once(&mut self.child);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        send(&self.child, signal).with_context(|| format!("{signal:?} did not reach {}", self.name))
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            let (name, is_over) = (self.name, Instant::now() > deadline);
            ensure!(!is_over, "{name} has not ended within {patience:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The environment variables that it was started with, beside those of this process.
    pub fn settings(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let set = |(name, value): (_, Option<_>)| Some((name, value?));
        self.command.get_envs().filter_map(set)
    }

    /// Starts another one like it, with these environment variables instead of its own.
    pub fn again(&self, settings: &[(&str, &str)], log: &Path) -> Result<Self> {
        let mut command = copy(&self.command);
        command.envs(settings.iter().copied());
        Self::start(self.name, &mut command, log)
    }

    /// Stops it gracefully.
    pub fn stop(&mut self) {
        end(&mut self.child, self.patience);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Path of its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The server's name if it has ended unexpectedly.
    pub fn ended(&mut self) -> Option<&'static str> {
        matches!(self.child.try_wait(), Ok(Some(_))).then_some(self.name)
    }

    /// How it ended and what it said last, if it has ended unexpectedly.
    pub fn obituary(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(Some(status)) => Some(format!(
                "{} ended by itself ({status}); the end of {}:\n{}",
                self.name,
                self.log.display(),
                tail(&self.log)
            )),
            _ => None,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        end(&mut self.child, self.patience);
    }
}

/// The same command again.
fn copy(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => copy.env(name, value),
            None => copy.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        copy.current_dir(folder);
    }
    copy
}

fn spawn(name: &str, command: &mut Command, out: File) -> Result<Child> {
    // A process group of its own: Ctrl-C reaches only this process, which stops the others in order.
    command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {name}"))
}

/// Sends a signal to a child and its group.
fn send(child: &Child, signal: Signal) -> Result<()> {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let group = group.context("a process without an id")?;
    Ok(kill_process_group(group, signal)?)
}

/// Kills a child and its group.
fn end_at_once(child: &mut Child) {
    let _ = send(child, Signal::KILL);
    let _ = child.wait();
}

/// Stops a child and its group: SIGINT is a fast shutdown for PostgreSQL and stops all the others; SIGKILL
/// follows after `patience`.
fn end(child: &mut Child, patience: Duration) {
    let _ = send(child, Signal::INT);
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    end_at_once(child);
}

/// A command that is killed with this process, where the system supports it.
pub fn bound(program: impl AsRef<OsStr>) -> Command {
    if has("setpriv") {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT", "--"]).arg(program);
        return command;
    }
    Command::new(program)
}

/// Cargo as if called by hand in the repository: environment variables of xtask's own package would make some
/// build scripts run again.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(args).current_dir(cache::repository());
    for (name, _) in std::env::vars_os() {
        let ours = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ];
        if ours
            .iter()
            .any(|start| name.to_string_lossy().starts_with(start))
        {
            command.env_remove(name);
        }
    }
    command
}

/// Whether a program is on the PATH.
pub fn has(program: &str) -> bool {
    find(program).is_some()
}

/// The path of a program on the PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Runs a command; its output is shown only if it fails.
pub fn run_quiet(what: &str, command: &mut Command) -> Result<()> {
    let mut output = tempfile()?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output.try_clone()?);
    if !finish(what, command)? {
        let mut text = String::new();
        output.rewind()?;
        output.read_to_string(&mut text)?;
        let tail: Vec<_> = text.lines().rev().take(15).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        bail!("{what} failed:\n{}", tail.join("\n"));
    }
    Ok(())
}

/// Runs a command; returns what it writes to its standard output.
pub fn capture(what: &str, command: &mut Command) -> Result<String> {
    let output = command.output();
    let output = output.with_context(|| format!("cannot run {what}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{what} failed:\n{errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a command succeeds; its output is not shown.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    finish("it", command).unwrap_or(false)
}

/// The target triple of this machine.
pub fn host() -> Result<String> {
    let text = capture("rustc", Command::new("rustc").arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}

/// Runs a command with its output shown.
pub fn run(what: &str, command: &mut Command) -> Result<()> {
    println!("▸ {what}");
    ensure!(finish(what, command)?, "{what} failed");
    Ok(())
}

/// Waits for a command; returns whether it succeeded. An interrupt stops it.
pub fn finish(what: &str, command: &mut Command) -> Result<bool> {
    let mut child = command
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run {what}"))?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if interrupted() {
            end(&mut child, Duration::from_secs(5));
            bail!("interrupted");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// An unlinked file, which is gone with its last handle.
fn tempfile() -> Result<File> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("xtask-{}-{count}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

/// Ports of servers for which none is preferred. Connections go out from higher ones, and could take one of those before its
/// server does.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The first port from `preferred` on that is free for TCP and UDP, any for 0. Prints a note if it is another
/// one.
pub fn free_port(what: &str, preferred: u16) -> Result<u16> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: &u16| {
        let tcp = TcpListener::bind(("127.0.0.1", *port));
        tcp.is_ok() && UdpSocket::bind(("127.0.0.1", *port)).is_ok()
    };
    if preferred == 0 {
        // Each process begins with another one.
        let first = std::process::id() * 101 + TAKEN.fetch_add(1, Ordering::Relaxed);
        let first = usize::try_from(first)? % PORTS.len();
        let found = PORTS.cycle().skip(first).take(PORTS.len()).find(is_free);
        return found.with_context(|| format!("no port is free for {what}"));
    }
    for port in preferred..preferred.saturating_add(100) {
        if is_free(&port) {
            if port != preferred {
                println!("· port {preferred} is taken: {what} uses {port}");
            }
            return Ok(port);
        }
    }
    bail!("no port from {preferred} on is free for {what}")
}

/// How long to wait for something that takes at most `usual` on an idle machine: scaled by the load of this
/// machine.
pub fn patience(usual: Duration) -> Duration {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().and_then(|load| load.parse().ok());
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let crowd = load.unwrap_or(0.0) / processors as f64;
    usual.mul_f64(crowd.clamp(1.0, 10.0))
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(10).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Waits until `ready` succeeds, a server ends, or a signal is received.
pub fn wait_for(
    what: &str,
    usual: Duration,
    log: &Path,
    server: &mut Server,
    ready: impl Fn() -> bool,
) -> Result<()> {
    let patience = patience(usual);
    let deadline = Instant::now() + patience;
    while !ready() {
        ensure!(!interrupted(), "interrupted");
        let tail = || tail(log);
        if server.ended().is_some() {
            bail!(
                "{what} ended while starting; the end of {}:\n{}",
                log.display(),
                tail()
            );
        }
        if Instant::now() > deadline {
            bail!(
                "{what} is not ready after {patience:?}; the end of {}:\n{}",
                log.display(),
                tail()
            );
        }
        thread::sleep(Duration::from_millis(30));
    }
    Ok(())
}
