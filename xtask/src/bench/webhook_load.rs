//! Webhook events at a steady rate, sent by a process of its own.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::subject::Bench;
use crate::{cache, dev::Running, process::bound, seed::Seeded};

/// The process.
pub struct WebhookLoad {
    process: Child,
    output: BufReader<ChildStdout>,
}

/// Names and sids of the rooms of running sessions.
pub fn rooms(bench: &Bench<'_>, running: &Running, seeded: &Seeded) -> Result<Vec<String>> {
    let rooms = format!(
        "SET app.tenant_id = '{}'; SELECT room_name || ' ' || room_sid FROM sessions WHERE state = 'running'",
        seeded.tenant
    );
    let url = &running.stack.database_owner_url;
    let rooms = bench.tools.psql(url, &rooms)?;
    let rooms = rooms.lines().filter(|line| line.contains(" RM_"));
    Ok(rooms.map(str::to_owned).collect())
}

impl WebhookLoad {
    /// Begins to send events of these rooms, people who join and leave, at this rate in a second, for so long.
    pub fn start<'a>(
        bench: &Bench<'_>,
        running: &Running,
        hosts: &str,
        (rate, duration): (u32, Duration),
        rooms: impl Iterator<Item = &'a str>,
    ) -> Result<Self> {
        let mut process = bound(&bench.tools.python)
            .arg("-B")
            .arg(cache::repository().join("xtask/client/webhook_load.py"))
            .arg(hosts)
            .args([&running.stack.livekit_key, &running.stack.livekit_secret])
            .args([rate.to_string(), duration.as_secs().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut input = process.stdin.take().context("no input")?;
        for room in rooms {
            writeln!(input, "{room}")?;
        }
        drop(input);
        let output = process.stdout.take().context("no output")?;
        let mut load = Self {
            process,
            output: BufReader::new(output),
        };
        ensure!(load.line()?.trim() == "ready", "the load did not start");
        Ok(load)
    }

    /// Waits for the end; returns how many events were answered, in how many seconds. Fails if any answer was not 200.
    pub fn figures(mut self) -> Result<Value> {
        let figures: Value = serde_json::from_str(&self.line()?).context("no figures")?;
        let wrong = figures["wrong"].as_array();
        ensure!(wrong.is_some_and(Vec::is_empty), "{figures}");
        self.process.wait()?;
        Ok(figures)
    }

    /// The next line that it prints; empty at its end.
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line)
    }
}
