//! Common context of the benchmarks.

use std::{path::Path, time::Duration};

use anyhow::Result;
use serde_json::json;

use super::{cpu::Usage, load::Request, report::Report};
use crate::{
    dev::Running,
    seed::{Client, Seeded},
    tools::Tools,
};

/// No limits, as the work itself is measured.
pub const UNLIMITED: &str = "reads=0,writes=0,starts=0";

/// The context of a benchmark.
pub struct Bench<'a> {
    /// The installed servers.
    pub tools: &'a Tools,
    /// A scratch folder.
    pub folder: &'a Path,
    /// The binary that is measured.
    pub binary: &'a Path,
    /// The stack, and the API on it.
    pub running: &'a Running,
    /// A tenant with an agent.
    pub seeded: &'a Seeded,
    /// The figures.
    pub report: &'a Report,
}

impl Bench<'_> {
    /// A request of the tenant.
    pub fn request(&self, path: &str, body: Option<&str>) -> Request {
        let path = format!("/api/tenants/{}/{path}", self.seeded.tenant);
        Request::new(&self.running.base, &self.seeded.key, &path, body)
    }

    /// A client of the tenant.
    pub fn client(&self) -> Client {
        Client::new(&self.running.base, &self.seeded.key)
    }

    /// Loads the api with a request, and adds the figures to a row. Returns the rate.
    pub fn load(
        &self,
        row: &str,
        request: &Request,
        (connections, duration): (usize, Duration),
    ) -> Result<f64> {
        let before = Usage::of(self.running);
        let outcome = request.load(connections, duration)?;
        let used = Usage::of(self.running).since(before);
        let each = |micros: u64| micros as f64 / outcome.count().max(1) as f64;
        for (metric, value) in [
            ("rate", outcome.rate()),
            ("api", each(used.api)),
            ("postgres", each(used.postgres)),
            ("load", each(used.load)),
            ("p50", outcome.at(0.5)),
            ("p99", outcome.at(0.99)),
        ] {
            self.report.add(row, metric, value);
        }
        Ok(outcome.rate())
    }

    /// Creates agents with metadata of 300 bytes; returns their ids.
    pub fn agents(&self, prefix: &str, count: usize) -> Result<Vec<String>> {
        let client = self.client();
        let path = format!("/api/tenants/{}/agents", self.seeded.tenant);
        let create = |n| {
            let body = agent(&format!("{prefix}-{n}"));
            let made = client.post(&path, &body)?;
            Ok(crate::seed::text(&made, "/id")?.to_owned())
        };
        (0..count).map(create).collect()
    }
}

/// The body of an agent with metadata of 300 bytes.
pub fn agent(name: &str) -> serde_json::Value {
    let note = "Answers the main number at night, in two languages. ".repeat(5);
    json!({ "name": name, "metadata": { "note": note, "floor": 3, "line": "A-17" } })
}
