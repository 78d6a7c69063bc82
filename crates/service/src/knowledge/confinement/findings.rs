//! Results of the confinement probe, for the operator.

use std::{fmt, path::Path, process::Stdio, time::Duration};

use anyhow::Context as _;
use tokio::{process::Command, time::timeout};

use super::probe::{self, Message};

/// Maximum duration of the probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// Error numbers of a denied attempt: EPERM of seccomp, EACCES of Landlock, EMFILE and EAGAIN of the limits.
const DENIED: [i32; 4] = [libc::EPERM, libc::EACCES, libc::EMFILE, libc::EAGAIN];

/// How far the extraction process is confined on this kernel.
#[derive(Debug, Default)]
pub struct Findings {
    no_new_privs: bool,
    seccomp: bool,
    landlock: Option<u32>,
    /// Attempts that were denied under Landlock alone.
    by_landlock: Vec<String>,
    /// Attempts that were denied under all layers.
    denied: Vec<String>,
}

/// Runs the probe in a child process.
pub async fn run_probe(program: &Path) -> anyhow::Result<Findings> {
    let mut command = Command::new(program);
    command
        .arg("confinement")
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(PROBE_TIMEOUT, command.output()).await;
    let output = output.context("the probe timed out")??;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let mut found = Findings::default();
    // An attempt that ends the program or replaces it leaves lines out, which count as not denied.
    for message in stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
    {
        found.add(message);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(!found.denied.is_empty(), "{}", stderr.trim());
    Ok(found)
}

/// Logs how processes that extract untrusted files are confined.
pub async fn log_layers(program: &Path) {
    match run_probe(program).await {
        Ok(found) if found.permitted().is_empty() && found.missing_layers().is_empty() => {
            tracing::info!(confinement = %found, "extraction is confined");
        }
        Ok(found) => tracing::warn!(confinement = %found, "extraction is only partly confined"),
        Err(error) => {
            tracing::warn!(error = %format!("{error:#}"), "the confinement of extraction could not be determined");
        }
    }
}

impl Findings {
    fn add(&mut self, message: Message) {
        let is_denied = |error: Option<i32>| error.is_some_and(|error| DENIED.contains(&error));
        match message {
            Message::Layers {
                no_new_privs,
                landlock,
                seccomp,
            } => {
                (self.no_new_privs, self.seccomp) = (no_new_privs, seccomp);
                self.landlock = landlock;
            }
            Message::Landlock(name, error) if is_denied(error) => self.by_landlock.push(name),
            Message::All(name, error) if is_denied(error) => self.denied.push(name),
            Message::Landlock(..) | Message::All(..) => {}
        }
    }

    /// Attempts that the extraction process could succeed with.
    pub fn permitted(&self) -> Vec<&'static str> {
        let all = probe::attempt_names().into_iter();
        all.filter(|name| !self.denied.iter().any(|denied| denied == name))
            .collect()
    }

    /// Layers that this kernel does not support.
    pub fn missing_layers(&self) -> Vec<&'static str> {
        let layers = [
            (self.no_new_privs, "no_new_privs"),
            (self.seccomp, "seccomp"),
            (self.landlock.is_some(), "Landlock"),
        ];
        let missing = layers.into_iter().filter(|(is_present, _)| !is_present);
        missing.map(|(_, name)| name).collect()
    }

    fn landlock(&self) -> Option<String> {
        let covers = |name: &str| self.by_landlock.iter().any(|denied| denied == name);
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
        for (list, label) in [
            (self.missing_layers(), "this kernel lacks"),
            (self.permitted(), "it can still"),
        ] {
            if !list.is_empty() {
                write!(f, "; {label}: {}", list.join(", "))?;
            }
        }
        Ok(())
    }
}
