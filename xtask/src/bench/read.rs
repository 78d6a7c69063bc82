//! Reads of one agent, compared to `pgbench` with the same statements.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    cpu::{cpu, cpu_with_children, memory_mib},
    load::Request,
    subject::Bench,
};
use crate::{seed::Seeded, tools::Tools};

const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(3);
const DURATION: Duration = Duration::from_secs(10);

/// Runs the benchmark.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    let (running, seeded) = (bench.running, bench.seeded);
    let path = format!("/api/tenants/{}/agents/{}", seeded.tenant, seeded.agent);
    let request = Request::new(&running.base, &seeded.key, &path, None);
    let postgres = running
        .stack
        .postgres_pid()
        .context("the bench needs a PostgreSQL of its own")?;
    request.load(CONNECTIONS, WARM_UP)?;
    let before = (cpu(running.api_pid()), cpu_with_children(postgres));
    let outcome = request.load(CONNECTIONS, DURATION)?;
    let after = (cpu(running.api_pid()), cpu_with_children(postgres));
    let rate = outcome.rate();
    let each = |ticks: u64| ticks as f64 * 10_000.0 / outcome.count() as f64;
    println!(
        "\nread one agent, {CONNECTIONS} connections, {} s:",
        DURATION.as_secs()
    );
    println!(
        "  {rate:.0} requests/s   p50 {:.2} ms   p99 {:.2} ms",
        outcome.at(0.5),
        outcome.at(0.99)
    );
    println!(
        "  CPU per request: api {:.0} µs, PostgreSQL {:.0} µs",
        each(after.0 - before.0),
        each(after.1 - before.1)
    );
    println!(
        "  memory of the api: {} MiB at most",
        memory_mib(running.api_pid())
    );
    let url = &running.stack.database_url;
    let plain = pgbench(bench.tools, bench.folder, url, seeded, false)?;
    let pipelined = pgbench(bench.tools, bench.folder, url, seeded, true)?;
    println!("pgbench, the same statements, {CONNECTIONS} clients over TCP:");
    for (name, best) in [("plain", plain), ("pipelined", pipelined)] {
        let share = rate * 100.0 / best;
        println!("  {name:<10} {best:.0} transactions/s: the api reaches {share:.0}% of it");
    }
    Ok(())
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
