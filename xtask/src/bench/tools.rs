//! The overhead of a tool call compared to a direct request to the same server.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{load::Request, subject::Bench};
use crate::seed::{self, Client, text};

const WARM_UP: Duration = Duration::from_secs(2);
const DURATION: Duration = Duration::from_secs(6);

/// Runs the benchmark.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    let (running, seeded) = (bench.running, bench.seeded);
    let client = Client::new(&running.base, &seeded.key);
    let at = |rest: &str| format!("/api/tenants/{}/{rest}", seeded.tenant);
    let secret = json!({ "value": "bench-token", "hosts": ["127.0.0.1"] });
    client.put(&at("secrets/SHOP"), &secret)?;
    let tool = json!({
        "kind": "http", "function_name": "find_order", "description": "Finds an order.",
        "parameters": { "type": "object", "properties": { "number": { "type": "string" } } },
        "http": {
            "url": format!("{}/shop/orders/{{{{ arguments.number }}}}", running.scripted_url),
            "headers": { "authorization": "Bearer {{ secrets.SHOP }}" },
        },
    });
    let tool = seed::version(&client, &at("tools"), "find order", &tool)?;
    let runtime = json!({ "kind": "echo" });
    let agent = seed::agent(
        &client,
        &seeded.tenant,
        "with a tool",
        &runtime,
        &[&tool],
        &serde_json::Value::Null,
    )?;
    let body = json!({ "agent_id": agent, "variables": { "company": "Acme" }, "start": true });
    let session = client.post(&at("sessions"), &body)?;
    let runs = at(&format!("sessions/{}/agent-runs", text(&session, "/id")?));
    let list = client.get(&runs)?;
    let path = format!("{runs}/{}/tools/find_order", text(&list, "/data/0/id")?);
    let body = json!({ "arguments": { "number": "A-17" } }).to_string();
    let worker = &running.worker_key;
    let through = Request::new(&running.base, worker, &path, Some(&body));
    let bare = Request::new(
        &running.scripted_url,
        "bench-token",
        "/shop/orders/A-17",
        None,
    );
    bare.load(1, WARM_UP)?;
    through.load(1, WARM_UP)?;
    let alone = bare.load(1, DURATION)?;
    bench
        .report
        .add("tool call: the server alone", "p50", alone.at(0.5));
    bench.load("tool call: through Patchbay", &through, (1, DURATION))?;
    println!("\ncall a tool, one after the other:");
    bench.report.print("tool call");
    Ok(())
}
