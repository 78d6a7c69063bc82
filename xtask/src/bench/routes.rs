//! One read of every route: what a route costs beside its statements. The tenant is empty, and what a path names does not
//! exist.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{load::Request, subject::Bench};
use crate::seed::{self, Client};

const CONNECTIONS: usize = 16;
const WARM_UP: Duration = Duration::from_millis(300);
const DURATION: Duration = Duration::from_millis(1_500);
/// An id that nothing has.
const UNKNOWN: &str = "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10";

/// Runs the benchmark.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    let running = bench.running;
    let operator = Client::new(&running.base, &running.operator_key);
    let body = json!({ "slug": "empty", "name": "Empty" });
    let made = operator.post("/api/tenants", &body)?;
    let (tenant, key) = (
        seed::text(&made, "/tenant/id")?,
        seed::text(&made, "/secret")?,
    );
    let document = operator.get("/openapi.json")?;
    let paths = document["paths"].as_object().context("no paths")?;
    for (path, _) in paths.iter().filter(|(_, path)| path["get"].is_object()) {
        let filled = fill(path, tenant);
        let key = match of_operator(&paths[path]["get"]) {
            true => &*running.operator_key,
            false => key,
        };
        let request = Request::new(&running.base, key, &filled, None).with_any_status();
        let status = request.load(CONNECTIONS, WARM_UP)?.status;
        let row = format!("GET {path} ({status})");
        bench.load(&row, &request, (CONNECTIONS, DURATION))?;
    }
    println!("\none read of every route, {CONNECTIONS} connections:");
    bench.report.print("GET ");
    Ok(())
}

/// The path with its parameters.
fn fill(path: &str, tenant: &str) -> String {
    let segments: Vec<_> = path
        .split('/')
        .map(|segment| match segment {
            "{tenant_id}" => tenant,
            parameter if parameter.starts_with('{') => UNKNOWN,
            literal => literal,
        })
        .collect();
    segments.join("/")
}

/// Whether only the operator may call an operation.
fn of_operator(operation: &Value) -> bool {
    operation["x-scopes"] == json!(["operator"])
}
