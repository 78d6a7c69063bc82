//! Requests that are in flight at one process: uploads of which the second half is sent later.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, bail};

use super::{
    ledger::Ledger,
    load::{content, digest},
};
use crate::seed::Response;

/// Uploads in flight.
pub struct Uploads {
    gates: Vec<Sender<()>>,
    threads: Vec<JoinHandle<Result<(Response, String)>>>,
}

/// A body whose second half is not sent before the gate is opened.
struct Body {
    bytes: Vec<u8>,
    sent: usize,
    gate: Receiver<()>,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let half = self.bytes.len() / 2;
        if self.sent == half {
            // It is opened, or closed for good because the drill has failed.
            let _ = self.gate.recv();
        }
        let end = if self.sent < half {
            half
        } else {
            self.bytes.len()
        };
        let mut rest = &self.bytes[self.sent..end];
        let count = rest.read(buffer)?;
        self.sent += count;
        Ok(count)
    }
}

impl Uploads {
    /// Number of uploads.
    pub const COUNT: usize = 3;

    /// Sends the first halves to the process at `base`.
    pub fn send(ledger: &Ledger, base: &str) -> Self {
        let (mut gates, mut threads) = (Vec::new(), Vec::new());
        for _ in 0..Self::COUNT {
            let number = ledger.next();
            let bytes = content(number);
            let sha256 = digest(&bytes);
            let (client, key) = (ledger.client_of(base), format!("soak-{number}"));
            let path = ledger.at(&format!("files?name=soak-{number}"));
            let (open, gate) = channel();
            gates.push(open);
            threads.push(thread::spawn(move || {
                let mut body = Body {
                    bytes,
                    sent: 0,
                    gate,
                };
                let body = ureq::SendBody::from_reader(&mut body);
                Ok((client.upload_once(&path, body, &key)?, sha256))
            }));
        }
        Self { gates, threads }
    }

    /// Sends the second halves; fails unless all are acknowledged. Returns their number.
    pub fn finish(self, ledger: &Ledger) -> Result<usize> {
        for gate in &self.gates {
            gate.send(())
                .context("an upload in flight has ended early")?;
        }
        let count = self.threads.len();
        for thread in self.threads {
            let ended = thread.join();
            let (response, sha256) = ended.map_err(|_| anyhow::anyhow!("an upload panicked"))??;
            let Response {
                status: 201, body, ..
            } = response
            else {
                bail!(
                    "an upload in flight was answered with {}: {}",
                    response.status,
                    response.body
                );
            };
            let id = body["id"].as_str().unwrap_or_default().to_owned();
            ledger.entries().files.insert(id, sha256);
        }
        Ok(count)
    }
}
