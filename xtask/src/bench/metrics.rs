//! Metrics of a month by day, for a tenant with a million calls in a year, with the plan of the most expensive
//! statement.

use std::{thread, time::Duration};

use anyhow::Result;

use super::{load::Request, subject::Bench};
use crate::seed;

const CALLS: u32 = 1_000_000;
const DURATION: Duration = Duration::from_secs(10);
const MONTH: &str = "bucket=day&from=2026-05-01T00:00:00Z&to=2026-06-01T00:00:00Z";
/// Connections that want metrics at the same time, and those of another tenant that reads.
const MANY: usize = 8;
const READERS: usize = 2;

/// Runs the benchmark.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    let (running, seeded) = (bench.running, bench.seeded);
    let url = &running.stack.database_owner_url;
    let tenant = &seeded.tenant;
    let set = format!("SET app.tenant_id = '{tenant}';");
    bench
        .tools
        .psql(url, &format!("{set} {}", calls(tenant, &seeded.agent)))?;
    bench.tools.psql(url, "VACUUM ANALYZE calls")?;
    println!("\nmetrics of a month by day, {CALLS} calls of one tenant in a year:");
    for more in ["", "&group_by=reason"] {
        let path = format!("/api/tenants/{tenant}/metrics?{MONTH}{more}");
        let request = Request::new(&running.base, &seeded.key, &path, None);
        request.load(1, Duration::from_secs(2))?;
        bench.load(&format!("metrics by day{more}"), &request, (1, DURATION))?;
    }
    bench.report.print("metrics");
    beside_them(bench)?;
    let plan = format!(
        "{set} EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) SELECT count(*), count(answered_at) FROM calls
         WHERE tenant_id = '{tenant}' AND created_at >= '2026-05-01' AND created_at < '2026-06-01'"
    );
    for line in bench.tools.psql(url, &plan)?.lines() {
        println!("  {line}");
    }
    Ok(())
}

/// Prints how long another tenant's reads take while this one wants the metrics on many connections.
fn beside_them(bench: &Bench<'_>) -> Result<()> {
    let (running, many) = (bench.running, bench.seeded);
    let other = seed::seed(&running.base, &running.operator_key, "beside-metrics")?;
    let read = format!("/api/tenants/{}/agents/{}", other.tenant, other.agent);
    let read = Request::new(&running.base, &other.key, &read, None);
    let metrics = bench.request(&format!("metrics?{MONTH}"), None);
    let quiet = read.load(READERS, DURATION)?;
    let during = thread::scope(|scope| {
        let many = scope.spawn(|| metrics.load(MANY, DURATION));
        let during = read.load(READERS, DURATION);
        many.join().expect("no panic")?;
        during
    })?;
    println!(
        "  {MANY} requests at a time for these metrics of {}; reads of another tenant meanwhile:",
        many.tenant
    );
    for (name, load) in [("before", quiet), ("meanwhile", during)] {
        let (median, slow) = (load.at(0.5), load.at(0.99));
        println!("    {name}: p50 {median:.1} ms, p99 {slow:.1} ms");
    }
    Ok(())
}

fn calls(tenant: &str, agent: &str) -> String {
    format!(
        "INSERT INTO calls (tenant_id, id, session_id, agent_id, direction, is_primary, state, reason, identity,
             ring_timeout_seconds, max_duration_seconds, answer_detection, revision, created_at, dialing_at, ringing_at,
             answered_at, ended_at)
         SELECT '{tenant}', gen_random_uuid(), gen_random_uuid(), '{agent}',
                CASE WHEN n % 3 = 0 THEN 'inbound' ELSE 'outbound' END, true,
                CASE WHEN n % 4 = 0 THEN 'failed' ELSE 'ended' END,
                CASE WHEN n % 4 = 0 THEN (ARRAY['busy', 'no_answer', 'declined'])[1 + n % 3] ELSE 'callee_hangup' END,
                'x', 45, 600, 'off', 5, at, at + interval '1 second', at + interval '3 seconds',
                CASE WHEN n % 4 > 0 THEN at + interval '5 seconds' + interval '20 seconds' * random() END,
                at + interval '30 seconds' + interval '5 minutes' * random()
         FROM (SELECT n, '2026-01-01T00:00:00Z'::timestamptz + interval '365 days' * n / {CALLS} AS at
               FROM generate_series(1, {CALLS}) AS n) AS spread"
    )
}
