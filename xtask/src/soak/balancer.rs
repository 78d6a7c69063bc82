//! A balancer before several processes: it gives each connection to the next process that is ready, and cuts those of a
//! process that does not respond any more, so that their clients can repeat what they have sent.

use std::{
    collections::HashMap,
    io,
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;

use crate::{process::free_port, seed::Client};

/// Time between two probes of a process: a process that is to end fails its readiness for half a second before it closes its
/// port.
const PROBE: Duration = Duration::from_millis(100);
/// Time after which a process that does not respond to a probe counts as silent.
const SILENCE: Duration = Duration::from_secs(2);

/// A running balancer. It stops on drop.
pub struct Balancer {
    /// Its port.
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    processes: Mutex<Vec<Process>>,
    /// Counts connections, for turns and as their keys.
    count: AtomicUsize,
    is_over: AtomicBool,
}

struct Process {
    port: u16,
    state: State,
    /// Both ends of each of its connections.
    connections: HashMap<usize, [TcpStream; 2]>,
}

/// What a probe says of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Ready,
    /// It says that it is not ready; connections are given to it only if no other is.
    NotReady,
    /// It is gone or paused.
    Silent,
}

impl Balancer {
    /// Starts a balancer without any process.
    pub fn start() -> Result<Self> {
        let port = free_port("the balancer", 0)?;
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if of_thread.is_over() {
                    return;
                }
                let shared = Arc::clone(&of_thread);
                thread::spawn(move || shared.serve(&client));
            }
        });
        Ok(Self { port, shared })
    }

    /// Adds the process that listens, or is about to listen, on this port.
    pub fn add(&self, port: u16) {
        let process = Process {
            port,
            state: State::Silent,
            connections: HashMap::new(),
        };
        self.shared.processes().push(process);
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            let base = format!("http://127.0.0.1:{port}");
            let client = Client::unpooled(&base, "", SILENCE);
            while !shared.is_over() {
                shared.record(port, probe(&client));
                thread::sleep(PROBE);
            }
        });
    }

    /// Whether the process on this port gets connections.
    pub fn is_ready(&self, port: u16) -> bool {
        let is_ready = |process: &Process| process.port == port && process.state == State::Ready;
        self.shared.processes().iter().any(is_ready)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn probe(client: &Client) -> State {
    if client.try_get("/health").is_err() {
        return State::Silent;
    }
    match client.try_get("/health/ready") {
        Ok(response) if response.status == 200 => State::Ready,
        // Also one that waits for a dependency for long.
        _ => State::NotReady,
    }
}

impl Shared {
    fn processes(&self) -> MutexGuard<'_, Vec<Process>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn record(&self, port: u16, state: State) {
        for process in self.processes().iter_mut().filter(|p| p.port == port) {
            process.state = state;
            if state == State::Silent {
                let all = process.connections.drain();
                all.flat_map(|(_, ends)| ends).for_each(|end| cut(&end));
            }
        }
    }

    /// The ports to try: those of processes that are ready in turns, then the others that respond.
    fn order(&self, turn: usize) -> Vec<u16> {
        let processes = self.processes();
        let count = processes.len();
        let in_turns = (0..count).map(|index| &processes[(index + turn) % count]);
        let mut found: Vec<_> = in_turns.filter(|p| p.state != State::Silent).collect();
        found.sort_by_key(|process| process.state);
        found.into_iter().map(|process| process.port).collect()
    }

    /// Connects a client with a process, until either of them ends the connection.
    fn serve(&self, client: &TcpStream) {
        let turn = self.count.fetch_add(1, Ordering::Relaxed);
        let mut ports = self.order(turn).into_iter();
        let connect = |port| Some((port, TcpStream::connect(("127.0.0.1", port)).ok()?));
        let Some((port, server)) = ports.find_map(connect) else {
            return;
        };
        let ends = (client.try_clone(), server.try_clone());
        if let (Ok(client), Ok(server)) = ends {
            let mut processes = self.processes();
            let process = processes.iter_mut().find(|process| process.port == port);
            process.map(|process| process.connections.insert(turn, [client, server]));
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = io::copy(&mut &*client, &mut &server);
                let _ = server.shutdown(Shutdown::Write);
            });
            let _ = io::copy(&mut &server, &mut &*client);
            cut(client);
        });
        let mut processes = self.processes();
        for process in processes.iter_mut() {
            process.connections.remove(&turn);
        }
    }
}

fn cut(end: &TcpStream) {
    let _ = end.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        time::Instant,
    };

    use super::*;

    /// Responds to probes and to requests with its name, while it is ready.
    fn process(name: &'static str, is_ready: Arc<AtomicBool>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let mut request = [0; 1000];
                let length = client.read(&mut request).unwrap();
                let is_probe = request[..length].starts_with(b"GET /health/ready");
                let status = match is_ready.load(Ordering::Relaxed) || !is_probe {
                    true => 200,
                    false => 503,
                };
                let length = name.len() + 2;
                let _ = write!(
                    client,
                    "HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n\"{name}\""
                );
            }
        });
        port
    }

    fn until(test: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !test() {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn connections_go_in_turns_to_those_that_are_ready() {
        let balancer = Balancer::start().unwrap();
        let base = format!("http://127.0.0.1:{}", balancer.port);
        let client = Client::unpooled(&base, "", SILENCE);
        assert!(client.get("/").is_err(), "no process is there");
        let (first, second) = (Arc::default(), Arc::default());
        let ports = [
            process("first", Arc::clone(&first)),
            process("second", Arc::clone(&second)),
        ];
        for port in ports {
            balancer.add(port);
        }
        let of_two = || {
            [(); 2].map(|()| {
                client
                    .get("/")
                    .map_or("none".into(), |name| name.to_string())
            })
        };
        first.store(true, Ordering::Relaxed);
        until(|| balancer.is_ready(ports[0]));
        assert_eq!(of_two(), ["\"first\"", "\"first\""]);
        second.store(true, Ordering::Relaxed);
        until(|| balancer.is_ready(ports[1]));
        let mut both = of_two();
        both.sort();
        assert_eq!(both, ["\"first\"", "\"second\""]);
    }
}
