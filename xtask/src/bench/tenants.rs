//! The latency of one tenant while another floods the service.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use serde_json::json;

use super::{load::Request, subject::Bench};
use crate::seed::{self, Client};

const DURATION: Duration = Duration::from_secs(10);
/// Connections of the quiet tenant, and of the flood.
const QUIET: usize = 2;
const FLOOD: usize = 8;

/// Runs the benchmark.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    let (running, quiet) = (bench.running, bench.seeded);
    let flooding = seed::seed(&running.base, &running.operator_key, "flood")?;
    let operator = Client::new(&running.base, &running.operator_key);
    let limits = json!({ "limits": { "reads_per_minute": 6000 } });
    operator.patch(&format!("/api/tenants/{}", flooding.tenant), &limits)?;
    let read = |of: &seed::Seeded| {
        let path = format!("/api/tenants/{}/agents/{}", of.tenant, of.agent);
        Request::new(&running.base, &of.key, &path, None)
    };
    let (quiet, flood) = (read(quiet), read(&flooding));
    let before = quiet.load(QUIET, DURATION)?;
    let (during, flooded) = thread::scope(|scope| {
        let flood = scope.spawn(|| flood.load(FLOOD, DURATION));
        let during = quiet.load(QUIET, DURATION);
        (during, flood.join().expect("the flood panicked"))
    });
    let (during, flooded) = (during?, flooded?);
    ensure!(
        flooded.refused > 0,
        "nothing was refused: that was no flood"
    );
    println!(
        "\none tenant reads on {QUIET} connections, another floods on {FLOOD} (limit 6,000 a minute):"
    );
    println!(
        "  quiet    p50 {:.2} ms   p99 {:.2} ms",
        before.at(0.5),
        before.at(0.99)
    );
    println!(
        "  flooded  p50 {:.2} ms   p99 {:.2} ms",
        during.at(0.5),
        during.at(0.99)
    );
    println!(
        "  p99 {:.1} times; the flood: {} answered, {} refused",
        during.at(0.99) / before.at(0.99),
        flooded.count(),
        flooded.refused
    );
    Ok(())
}
