//! Common parts of the demos: printing, waiting, and a client that joins.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    cache,
    process::patience,
    seed::{Client, text},
    tools::Tools,
};

/// Prints what happens, with the milliseconds since the start.
pub struct Story(Instant);

impl Story {
    /// Starts the clock.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Prints a line.
    pub fn print(&self, what: &str) {
        println!("{:>7} ms  {what}", self.0.elapsed().as_millis());
    }
}

/// Waits until the session at `path` is in this state.
pub fn wait_for_state(client: &Client, path: &str, state: &str) -> Result<Value> {
    let deadline = Instant::now() + patience(Duration::from_secs(45));
    loop {
        let session = client.get(path)?;
        if text(&session, "/state")? == state {
            return Ok(session);
        }
        ensure!(
            Instant::now() < deadline,
            "the session is not {state}: {session}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// Joins with a client, prints its events, and fails if it fails.
pub fn join(tools: &Tools, story: &Story, script: &str, token: &Value) -> Result<Vec<Value>> {
    let mut client = Command::new(&tools.python)
        .arg("-B")
        .arg(cache::repository().join("xtask/client").join(script))
        .args([
            text(token, "/server_url")?,
            text(token, "/participant_token")?,
            "30",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .context("the client cannot be started")?;
    let output = client.stdout.take().context("the client has no output")?;
    let mut events = Vec::new();
    for line in BufReader::new(output).lines() {
        let Ok(event) = serde_json::from_str::<Value>(&line?) else {
            continue;
        };
        story.print(&format!("client: {}", describe(&event)));
        events.push(event);
    }
    ensure!(
        client.wait()?.success(),
        "the client did not hear what it should"
    );
    Ok(events)
}

fn describe(event: &Value) -> String {
    match event["event"].as_str().unwrap_or_default() {
        "heard" if event["what"].is_string() => match event["seconds_after_speech"].as_f64() {
            Some(after) => format!("hears the answer, {after} s after it spoke"),
            None => "hears the greeting".to_owned(),
        },
        "heard" => format!("hears {} Hz", event["frequency_hz"]),
        "joined" => format!("joined as {}", event["identity"]),
        "track" => format!("receives audio of {}", event["identity"]),
        other => other.to_owned(),
    }
}
