//! What a probe has found, for who runs the service.

use std::{fmt, path::Path, process::Stdio, time::Duration};

use anyhow::Context as _;
use tokio::{process::Command, time::timeout};

use super::probe::{self, Message};

/// Longest that the probe may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How a refusal looks: of a system call, of a path, and of what there is no room for.
const REFUSALS: [i32; 4] = [libc::EPERM, libc::EACCES, libc::EMFILE, libc::EAGAIN];

/// What holds on this kernel.
#[derive(Debug, Default)]
pub struct Findings {
    no_new_privs: bool,
    seccomp: bool,
    landlock: Option<u32>,
    /// What was refused under Landlock alone.
    by_landlock: Vec<String>,
    /// What was refused under all layers.
    refused: Vec<String>,
}

/// Has the program confine itself and try.
pub async fn run_probe(program: &Path) -> anyhow::Result<Findings> {
    let mut command = Command::new(program);
    command
        .arg("confinement")
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await;
    let output = output.context("it took too long")??;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut found = Findings::default();
    // What ends the program early, or takes its place, leaves lines out, and these count as not refused.
    for line in said
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
    {
        found.note(line);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(!found.refused.is_empty(), "{}", words.trim());
    Ok(found)
}

impl Findings {
    fn note(&mut self, line: Message) {
        let is_refusal = |error: Option<i32>| error.is_some_and(|error| REFUSALS.contains(&error));
        match line {
            Message::Layers {
                no_new_privs,
                landlock,
                seccomp,
            } => {
                (self.no_new_privs, self.seccomp) = (no_new_privs, seccomp);
                self.landlock = landlock;
            }
            Message::Landlock(name, error) if is_refusal(error) => self.by_landlock.push(name),
            Message::All(name, error) if is_refusal(error) => self.refused.push(name),
            Message::Landlock(..) | Message::All(..) => {}
        }
    }

    /// What a reading process could do nevertheless.
    pub fn possible(&self) -> Vec<&'static str> {
        let all = probe::names().into_iter();
        all.filter(|name| !self.refused.iter().any(|refused| refused == name))
            .collect()
    }

    /// Layers that this kernel does not have.
    pub fn missing(&self) -> Vec<&'static str> {
        let layers = [
            (self.no_new_privs, "no_new_privs"),
            (self.seccomp, "seccomp"),
            (self.landlock.is_some(), "Landlock"),
        ];
        let missing = layers.into_iter().filter(|(is_there, _)| !is_there);
        missing.map(|(_, name)| name).collect()
    }

    fn landlock(&self) -> Option<String> {
        let covers = |name: &str| self.by_landlock.iter().any(|refused| refused == name);
        let parts = [
            ("read a file", "files"),
            ("listen to TCP", "network"),
            ("signal another process", "signals"),
        ];
        let parts = parts.into_iter().filter(|(name, _)| covers(name));
        let parts: Vec<_> = parts.map(|(_, part)| part).collect();
        let version = self.landlock?;
        Some(format!("Landlock ABI {version} ({})", parts.join(", ")))
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = [
            self.no_new_privs.then(|| "no_new_privs".to_owned()),
            self.seccomp.then(|| "seccomp".to_owned()),
            self.landlock(),
            Some("limits of descriptors and processes".to_owned()),
        ];
        let layers: Vec<_> = layers.into_iter().flatten().collect();
        write!(f, "extraction is confined by: {}", layers.join(", "))?;
        for (list, words) in [
            (self.missing(), "this kernel lacks"),
            (self.possible(), "it can still"),
        ] {
            if !list.is_empty() {
                write!(f, "; {words}: {}", list.join(", "))?;
            }
        }
        Ok(())
    }
}
