//! Processes of tests: the binary itself, a dedicated LiveKit, the worker.

use std::{
    fs::File,
    net::{TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use super::{PATIENCE, environment};

/// A process that is killed when it is dropped.
pub struct Process {
    child: Child,
    pub log: PathBuf,
}

/// A port that was free a moment ago, for TCP and for UDP. It is not one of those from which connections go out: such a
/// connection could take it before the server does. Each process begins with another one.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 101 + TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + u16::try_from(number % 12_000).unwrap();
        let is_free = TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Process {
    /// Starts `program` with its output in a log with this name.
    pub fn start(
        name: &str,
        program: impl AsRef<Path>,
        configure: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = Command::new(program.as_ref());
        configure(&mut command);
        Self::of(name, command)
    }

    /// Starts this command with its output in a log with this name.
    pub fn of(name: &str, mut command: Command) -> Self {
        let log = PathBuf::from(environment("FOLDER")).join(format!("{name}-{}.log", free_port()));
        let out = File::create(&log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// The binary under test: `patchbay-api serve`.
    pub fn api(arguments: &[String]) -> Self {
        Self::start("api", env!("CARGO_BIN_EXE_patchbay-api"), |command| {
            command.arg("serve").args(&arguments[1..]);
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a text in the log.
    pub fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            if log.contains(text) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "no `{text}` ({ended:?}) in:\n{log}"
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// The lines of the log that contain this.
    pub fn log_of(&self, name: &str) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines = log.lines().filter(|line| line.contains(name));
        lines.map(ToOwned::to_owned).collect()
    }

    /// Waits until the port is open.
    pub fn wait_for_port(&mut self, port: u16) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = self.child.try_wait().unwrap();
            let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "not listening: {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "still running after {PATIENCE:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks it to end, with SIGTERM.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    }

    /// Kills it at once, with SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
