//! A flame graph of the api under load, by `perf` and `inferno`.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Result, bail};

use crate::process::{Server, bound, cargo, has, run};

/// The profile of Cargo that has symbols.
pub const PROFILE: &str = "profiling";

/// Samples of a running process.
pub struct Recorder {
    perf: Server,
    folder: PathBuf,
}

/// The missing program, if any, and how to install it.
pub fn missing() -> Option<String> {
    let programs = [
        ("perf", "Debian's package linux-perf"),
        ("inferno-flamegraph", "cargo install inferno"),
    ];
    let (program, how) = programs.into_iter().find(|(program, _)| !has(program))?;
    Some(format!("{program} is not on PATH ({how})"))
}

/// Builds the api with symbols and frame pointers.
pub fn build() -> Result<()> {
    let mut command = cargo(&["build", "--profile", PROFILE, "--package", "patchbay-api"]);
    command.env("RUSTFLAGS", "-C force-frame-pointers=yes");
    run("building the release with symbols", &mut command)
}

impl Recorder {
    /// Begins to sample a process.
    pub fn start(pid: u32, folder: &Path) -> Result<Self> {
        let mut command = bound("perf");
        command
            .args(["record", "--event=cpu-clock", "--freq=499", "-g", "--pid"])
            .arg(pid.to_string())
            .arg("--output")
            .arg(folder.join("perf.data"));
        let mut perf = Server::start("perf", &mut command, &folder.join("perf.log"))?;
        // It ends at once where the kernel forbids it.
        thread::sleep(Duration::from_secs(1));
        if let Some(why) = perf.obituary() {
            bail!(why);
        }
        Ok(Self {
            perf,
            folder: folder.to_owned(),
        })
    }

    /// Ends, and draws the graph.
    pub fn draw(mut self, graph: &Path) -> Result<()> {
        self.perf.stop();
        let at = |name: &str| self.folder.join(name);
        let mut script = Command::new("perf");
        script.args(["script", "--input"]).arg(at("perf.data"));
        into_file("perf script", &mut script, &at("perf.txt"))?;
        let mut collapse = Command::new("inferno-collapse-perf");
        collapse.arg(at("perf.txt"));
        into_file("inferno-collapse-perf", &mut collapse, &at("perf.folded"))?;
        let mut draw = Command::new("inferno-flamegraph");
        draw.arg(at("perf.folded"));
        into_file("inferno-flamegraph", &mut draw, graph)
    }
}

fn into_file(what: &str, command: &mut Command, file: &Path) -> Result<()> {
    run(what, command.stdout(File::create(file)?))
}
