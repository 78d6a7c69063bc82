//! `cargo xtask bench`: what a read costs, beside `pgbench` with the same statements.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    cache, dev,
    process::{self, catch_signals},
    seed::{self, Seeded},
    stack::Ports,
    tools::{self, Tools},
};

const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(3);
const DURATION: Duration = Duration::from_secs(10);

/// The command.
pub fn run() -> Result<()> {
    catch_signals()?;
    let tools = tools::ensure(|| {
        process::run(
            "building the release",
            Command::new(env!("CARGO"))
                .args(["build", "--release", "--package", "patchbay-api"])
                .current_dir(cache::repository()),
        )
    })?;
    let folder = cache::directory()?.join(format!("bench-{}", std::process::id()));
    let outcome = measure(&tools, &folder);
    fs::remove_dir_all(&folder)?;
    outcome
}

const UNLIMITED: &str = "reads=0,writes=0,starts=0";

fn measure(tools: &Tools, folder: &Path) -> Result<()> {
    let ports = Ports {
        postgres: 0,
        livekit: 0,
        api: 0,
    };
    let running = dev::start_binary(
        tools,
        folder,
        &ports,
        &dev::binary("release"),
        &[
            ("PATCHBAY_LOG", "warn"),
            ("PATCHBAY_KEY_LIMITS", UNLIMITED),
            ("PATCHBAY_TENANT_LIMITS", UNLIMITED),
        ],
    )?;
    let seeded = seed::seed(&running.base, &running.operator_key, "bench")?;
    let postgres = running
        .stack
        .postgres_pid()
        .context("the bench needs a PostgreSQL of its own")?;
    load(&running.base, &seeded, WARM_UP)?;
    let before = (cpu(running.api_pid()), cpu_with_children(postgres));
    let mut latencies = load(&running.base, &seeded, DURATION)?;
    let after = (cpu(running.api_pid()), cpu_with_children(postgres));
    let memory = memory_mib(running.api_pid());
    latencies.sort_unstable();
    let count = latencies.len();
    let rate = count as f64 / DURATION.as_secs_f64();
    let at = |share: f64| latencies[((count - 1) as f64 * share) as usize] as f64 / 1000.0;
    let each = |ticks: u64| ticks as f64 * 10_000.0 / count as f64;
    println!(
        "\nread one agent, {CONNECTIONS} connections, {} s:",
        DURATION.as_secs()
    );
    println!(
        "  {rate:.0} requests/s   p50 {:.2} ms   p99 {:.2} ms",
        at(0.5),
        at(0.99)
    );
    println!(
        "  CPU per request: api {:.0} µs, PostgreSQL {:.0} µs",
        each(after.0 - before.0),
        each(after.1 - before.1)
    );
    println!("  memory of the api: {memory} MiB at most");
    let plain = pgbench(tools, folder, &running.stack.database_url, &seeded, false)?;
    let pipelined = pgbench(tools, folder, &running.stack.database_url, &seeded, true)?;
    println!("pgbench, the same statements, {CONNECTIONS} clients over TCP:");
    println!(
        "  plain      {plain:.0} transactions/s: the api reaches {:.0}% of it",
        rate * 100.0 / plain
    );
    println!(
        "  pipelined  {pipelined:.0} transactions/s: the api reaches {:.0}% of it",
        rate * 100.0 / pipelined
    );
    Ok(())
}

/// Reads one agent over and over; the latencies in microseconds.
fn load(base: &str, seeded: &Seeded, duration: Duration) -> Result<Vec<u64>> {
    let address = base.trim_start_matches("http://").to_owned();
    let request = format!(
        "GET /api/tenants/{}/agents/{} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\r\n",
        seeded.tenant, seeded.agent, seeded.key
    );
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (address, request) = (address.clone(), request.clone());
            thread::spawn(move || connection(&address, &request, duration))
        })
        .collect();
    let mut all = Vec::new();
    for thread in threads {
        all.extend(thread.join().expect("a connection panicked")?);
    }
    Ok(all)
}

fn connection(address: &str, request: &str, duration: Duration) -> Result<Vec<u64>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let (mut latencies, mut line, mut body) = (Vec::new(), String::new(), Vec::new());
    let end = Instant::now() + duration;
    while Instant::now() < end {
        let started = Instant::now();
        writer.write_all(request.as_bytes())?;
        line.clear();
        reader.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 200"), "{line}");
        let mut length = 0;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse()?
                }
                Some(_) => {}
                None => break,
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        latencies.push(u64::try_from(started.elapsed().as_micros())?);
    }
    Ok(latencies)
}

/// Processor time of a process, in ticks of 10 ms.
fn cpu(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<_> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let tick = |index: usize| {
        fields
            .get(index)
            .and_then(|f| f.parse::<u64>().ok())
            .unwrap_or_default()
    };
    tick(11) + tick(12)
}

fn cpu_with_children(pid: u32) -> u64 {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children
        .split_whitespace()
        .filter_map(|child| child.parse().ok());
    cpu(pid) + children.map(cpu).sum::<u64>()
}

fn memory_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or_default()
        / 1024
}

fn pgbench(
    tools: &Tools,
    folder: &Path,
    url: &str,
    seeded: &Seeded,
    pipelined: bool,
) -> Result<f64> {
    let key = &seeded.key[3..35];
    let statements = format!(
        "SELECT k.tenant_id, k.secret_hash, k.scopes, k.expires_at, k.revoked_at, t.status \
         FROM api_keys k JOIN tenants t ON t.id = k.tenant_id WHERE k.id = '{key}';\n\
         BEGIN;\nSET LOCAL app.tenant_id = '{0}';\n\
         SELECT * FROM agents WHERE tenant_id = '{0}' AND id = '{1}';\nCOMMIT;\n",
        seeded.tenant, seeded.agent
    );
    let script = if pipelined {
        format!("\\startpipeline\n{statements}\\endpipeline\n")
    } else {
        statements
    };
    let file = folder.join("read.sql");
    fs::write(&file, script)?;
    let output = Command::new(tools.postgres.join("pgbench"))
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={CONNECTIONS}"))
        .arg(format!("--time={}", DURATION.as_secs()))
        .arg("--file")
        .arg(&file)
        .arg(url)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let tps = text
        .lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    tps.with_context(|| format!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr)))
}
