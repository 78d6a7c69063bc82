//! Creation of sessions without a start: resolve the binding, render the prompt, write the rows.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{load::Request, subject::Bench};

const CONNECTIONS: usize = 16;
const DURATION: Duration = Duration::from_secs(8);

/// Runs the benchmark.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    let (running, seeded) = (bench.running, bench.seeded);
    let body = json!({ "agent_id": seeded.agent, "variables": { "company": "Acme" } });
    let path = format!("/api/tenants/{}/sessions", seeded.tenant);
    let request = Request::new(&running.base, &seeded.key, &path, Some(&body.to_string()));
    request.load(CONNECTIONS, Duration::from_secs(2))?;
    let outcome = request.load(CONNECTIONS, DURATION)?;
    println!(
        "\ncreate a session without LiveKit, {CONNECTIONS} connections, {} s:",
        DURATION.as_secs()
    );
    println!(
        "  {:.0} requests/s   p50 {:.2} ms   p99 {:.2} ms",
        outcome.rate(),
        outcome.at(0.5),
        outcome.at(0.99)
    );
    Ok(())
}
