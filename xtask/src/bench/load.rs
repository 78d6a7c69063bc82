//! Load over persistent connections, each of which sends a request after the response to the previous one.

use std::{
    io::{BufReader, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

/// A request to be repeated.
#[derive(Clone)]
pub struct Request {
    address: String,
    bytes: Vec<u8>,
}

/// The result of a load.
pub struct Outcome {
    /// Latencies in microseconds, sorted.
    latencies: Vec<u64>,
    /// Responses with status 429.
    pub refused: usize,
    duration: Duration,
}

impl Request {
    /// A request to `base` with this key; a GET if it has no body.
    pub fn new(base: &str, key: &str, path: &str, body: Option<&str>) -> Self {
        let address = base.trim_start_matches("http://").to_owned();
        let head = format!("host: {address}\r\nauthorization: Bearer {key}");
        let text = match body {
            None => format!("GET {path} HTTP/1.1\r\n{head}\r\n\r\n"),
            Some(body) => format!(
                "POST {path} HTTP/1.1\r\n{head}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ),
        };
        Self {
            address,
            bytes: text.into_bytes(),
        }
    }

    /// Sends it on this many connections for this time.
    pub fn load(&self, connections: usize, duration: Duration) -> Result<Outcome> {
        let threads: Vec<_> = (0..connections)
            .map(|_| {
                let request = self.clone();
                thread::spawn(move || request.connection(duration))
            })
            .collect();
        let (mut latencies, mut refused) = (Vec::new(), 0);
        for thread in threads {
            let (more, refusals) = thread.join().expect("a connection panicked")?;
            latencies.extend(more);
            refused += refusals;
        }
        latencies.sort_unstable();
        Ok(Outcome {
            latencies,
            refused,
            duration,
        })
    }

    fn connection(&self, duration: Duration) -> Result<(Vec<u64>, usize)> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream;
        let (mut latencies, mut refused) = (Vec::new(), 0);
        let end = Instant::now() + duration;
        while Instant::now() < end {
            let started = Instant::now();
            writer.write_all(&self.bytes)?;
            let status = answer(&mut reader)?;
            if status == "429" {
                refused += 1;
                continue;
            }
            ensure!(status.starts_with('2'), "status {status}");
            latencies.push(u64::try_from(started.elapsed().as_micros())?);
        }
        Ok((latencies, refused))
    }
}

/// Reads one response and returns its status.
fn answer(reader: &mut impl std::io::BufRead) -> Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse()?;
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(status)
}

impl Outcome {
    /// Number of responses.
    pub fn count(&self) -> usize {
        self.latencies.len()
    }

    /// Responses per second.
    pub fn rate(&self) -> f64 {
        self.count() as f64 / self.duration.as_secs_f64()
    }

    /// A percentile in milliseconds.
    pub fn at(&self, share: f64) -> f64 {
        let index = (self.count().saturating_sub(1) as f64 * share) as usize;
        self.latencies
            .get(index)
            .map_or(0.0, |us| *us as f64 / 1000.0)
    }
}
