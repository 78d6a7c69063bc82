//! Load over persistent connections, each of which sends a request after the response to the previous one. One thread
//! drives them all, so that it takes as little as possible from what it measures.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::{
    event::{
        Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
    },
    fd::OwnedFd,
};

/// Ten characters of a body that are replaced by a number of ten digits, another one in each request.
pub const NUMBER: &str = "<<number>>";
/// How long a response may take.
const PATIENCE: Timespec = Timespec {
    tv_sec: 30,
    tv_nsec: 0,
};

/// Requests to one server, sent in turns.
#[derive(Clone)]
pub struct Request {
    address: String,
    texts: Vec<Text>,
    /// Whether responses other than successes and refusals are allowed.
    any_status: bool,
}

#[derive(Clone)]
struct Text {
    bytes: Vec<u8>,
    /// Where the number is.
    number_at: Option<usize>,
}

/// The result of a load.
pub struct Outcome {
    /// Latencies in microseconds, sorted.
    latencies: Vec<u64>,
    /// Responses with status 429.
    pub refused: usize,
    /// Status of the last response.
    pub status: u16,
    duration: Duration,
}

impl Request {
    /// A request to `base` with this key; a GET if it has no body, otherwise a POST.
    pub fn new(base: &str, key: &str, path: &str, body: Option<&str>) -> Self {
        let method = if body.is_some() { "POST" } else { "GET" };
        Self::with_method(base, key, (method, path), body)
    }

    /// A request with this method and path.
    pub fn with_method(
        base: &str,
        key: &str,
        (method, path): (&str, &str),
        body: Option<&str>,
    ) -> Self {
        let address = base.trim_start_matches("http://").to_owned();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\nif-match: *\r\n"
        );
        let text = match body {
            None => format!("{head}\r\n"),
            Some(body) => format!(
                "{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ),
        };
        let number_at = text.find(NUMBER);
        let bytes = text.into_bytes();
        Self {
            address,
            texts: vec![Text { bytes, number_at }],
            any_status: false,
        }
    }

    /// Several requests to the same server, which take turns.
    pub fn in_turns(requests: impl IntoIterator<Item = Self>) -> Result<Self> {
        let mut requests = requests.into_iter();
        let mut all = requests.next().context("no requests")?;
        all.texts.extend(requests.flat_map(|request| request.texts));
        Ok(all)
    }

    /// Allows responses with any status.
    pub fn with_any_status(self) -> Self {
        Self {
            any_status: true,
            ..self
        }
    }

    /// Sends it on this many connections for this time, and waits for the last responses.
    pub fn load(&self, connections: usize, duration: Duration) -> Result<Outcome> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut all = Vec::new();
        for turn in 0..connections {
            all.push(Connection::open(self, turn, &epoll)?);
        }
        let mut outcome = Outcome {
            latencies: Vec::new(),
            refused: 0,
            status: 0,
            duration,
        };
        let began = Instant::now();
        let mut events = Vec::with_capacity(connections);
        for connection in &mut all {
            connection.send(self, connections)?;
        }
        let mut waiting = connections;
        while waiting > 0 {
            events.clear();
            epoll::wait(
                &epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&PATIENCE),
            )?;
            ensure!(
                !events.is_empty(),
                "no response within {} s",
                PATIENCE.tv_sec
            );
            for event in &events {
                let connection = &mut all[usize::try_from(event.data.u64())?];
                let Some(status) = connection.receive()? else {
                    continue;
                };
                outcome.add(status, connection.sent_at.elapsed(), self.any_status)?;
                if began.elapsed() < duration {
                    connection.send(self, connections)?;
                } else {
                    // The server may close it before the others end.
                    epoll::delete(&epoll, &connection.stream)?;
                    waiting -= 1;
                }
            }
        }
        outcome.duration = began.elapsed();
        outcome.latencies.sort_unstable();
        Ok(outcome)
    }
}

struct Connection {
    stream: TcpStream,
    /// Which request is next.
    turn: usize,
    sent_at: Instant,
    received: Vec<u8>,
    /// Length of the response, once its head is there.
    expected: Option<(u16, usize)>,
}

impl Connection {
    fn open(request: &Request, turn: usize, epoll: &OwnedFd) -> Result<Self> {
        let stream = TcpStream::connect(&request.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let data = EventData::new_u64(u64::try_from(turn)?);
        epoll::add(epoll, &stream, data, EventFlags::IN)?;
        Ok(Self {
            stream,
            turn,
            sent_at: Instant::now(),
            received: Vec::with_capacity(65_536),
            expected: None,
        })
    }

    /// Sends the next request. The buffer of a connection without an open request has room for it.
    fn send(&mut self, request: &Request, connections: usize) -> Result<()> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let text = &request.texts[self.turn % request.texts.len()];
        self.turn += connections;
        self.received.clear();
        self.expected = None;
        self.sent_at = Instant::now();
        let Some(at) = text.number_at else {
            return Ok(self.stream.write_all(&text.bytes)?);
        };
        let number = format!("{:010}", NUMBERS.fetch_add(1, Ordering::Relaxed));
        let mut bytes = text.bytes.clone();
        bytes[at..at + NUMBER.len()].copy_from_slice(number.as_bytes());
        Ok(self.stream.write_all(&bytes)?)
    }

    /// Reads what has arrived; returns the status once the response is complete.
    fn receive(&mut self) -> Result<Option<u16>> {
        let mut chunk = [0; 65_536];
        match self.stream.read(&mut chunk) {
            Ok(0) => bail!("the server has closed a connection"),
            Ok(length) => self.received.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if self.expected.is_none() {
            self.expected = head(&self.received)?;
        }
        let complete = self
            .expected
            .filter(|(_, length)| self.received.len() >= *length);
        Ok(complete.map(|(status, _)| status))
    }
}

/// Status and length of a response, if its head is complete.
fn head(received: &[u8]) -> Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(received)? else {
        return Ok(None);
    };
    let status = response.code.context("no status")?;
    let body = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body: usize = match body {
        Some(header) => std::str::from_utf8(header.value)?.parse()?,
        None => {
            ensure!(status == 204, "a response without its length: {status}");
            0
        }
    };
    Ok(Some((status, length + body)))
}

impl Outcome {
    fn add(&mut self, status: u16, took: Duration, any_status: bool) -> Result<()> {
        self.status = status;
        if status == 429 {
            self.refused += 1;
            return Ok(());
        }
        ensure!(
            any_status || (200..300).contains(&status),
            "status {status}"
        );
        self.latencies.push(u64::try_from(took.as_micros())?);
        Ok(())
    }

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
