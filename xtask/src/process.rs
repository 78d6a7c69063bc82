//! Child processes that never outlive us.

use std::{
    fs::File,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Takes Ctrl-C and SIGTERM as a wish to end, so that what we started is ended too.
pub fn catch_signals() -> Result<()> {
    Ok(ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::Relaxed)
    })?)
}

/// Whether we were asked to end.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// A server that runs beside us until it is dropped.
pub struct Server {
    name: &'static str,
    child: Child,
    patience: Duration,
}

impl Server {
    /// Starts a server with its output in `log`.
    pub fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self> {
        let out = File::create(log)?;
        // A group of its own: Ctrl-C comes to us alone, and we end the others in order.
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name,
            child,
            patience: Duration::from_secs(10),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The server's name if it has ended by itself.
    pub fn ended(&mut self) -> Option<&'static str> {
        matches!(self.child.try_wait(), Ok(Some(_))).then_some(self.name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // INT is what PostgreSQL calls a fast shutdown, and an end to all the others.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill")
            .args(["-INT", "--", &group])
            .stderr(Stdio::null())
            .status();
        let deadline = Instant::now() + self.patience;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = Command::new("kill")
            .args(["-KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.wait();
    }
}

/// A command that dies with us, even if we are killed, where the system can do that.
pub fn bound(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if has("setpriv") {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT", "--"]).arg(program);
        return command;
    }
    Command::new(program)
}

/// Whether a program is on the PATH.
pub fn has(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program is on the PATH.
pub fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Runs a command to its end; its output is shown only when it fails.
pub fn run_quiet(what: &str, command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {what}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<_> = text.lines().rev().take(15).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        bail!("{what} failed:\n{}", tail.join("\n"));
    }
    Ok(())
}

/// Runs a command to its end with its output shown.
pub fn run(what: &str, command: &mut Command) -> Result<()> {
    println!("▸ {what}");
    let status = command
        .status()
        .with_context(|| format!("cannot run {what}"))?;
    ensure!(status.success(), "{what} failed");
    Ok(())
}

/// The first free port from `preferred` on, said aloud where it is another one; any for 0.
pub fn free_port(what: &str, preferred: u16) -> Result<u16> {
    if preferred == 0 {
        return Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port());
    }
    for port in preferred..preferred.saturating_add(100) {
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            if port != preferred {
                println!("· port {preferred} is taken: {what} uses {port}");
            }
            return Ok(port);
        }
    }
    bail!("no port from {preferred} on is free for {what}")
}

/// Waits until `ready` says so, a server ends, or we are interrupted.
pub fn wait_for(
    what: &str,
    patience: Duration,
    log: &Path,
    server: &mut Server,
    ready: impl Fn() -> bool,
) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !ready() {
        ensure!(!interrupted(), "interrupted");
        let tail = || {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<_> = text.lines().rev().take(10).collect();
            lines.into_iter().rev().collect::<Vec<_>>().join("\n")
        };
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
