//! The requests that matter most, each compared to `pgbench` with the same statements, alternately; then with other
//! numbers of connections and tenants.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{
    load::{NUMBER, Request},
    pgbench,
    subject::{Bench, agent},
};
use crate::seed::{self, Client};

const ROUNDS: usize = 5;
const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(2);
const DURATION: Duration = Duration::from_secs(4);
const MAX_CONNECTIONS: usize = 256;
const OTHER_CONNECTIONS: [usize; 3] = [1, 16, MAX_CONNECTIONS];
const TENANTS: usize = 1_000;

/// A request, with the statements of its transaction.
struct Subject {
    name: &'static str,
    request: Request,
    statements: Option<String>,
}

/// Runs the benchmark.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    many_tenants(bench)?;
    for subject in subjects(bench)? {
        pairs(bench, &subject)?;
        for connections in OTHER_CONNECTIONS {
            let row = format!("{}, {connections} connections", subject.name);
            bench.load(&row, &subject.request, (connections, DURATION))?;
        }
    }
    println!("\nrequests, {CONNECTIONS} connections if nothing else is said:");
    bench.report.print("");
    Ok(())
}

/// Measures the api, pgbench and pgbench with a pipeline one after the other, several times.
fn pairs(bench: &Bench<'_>, subject: &Subject) -> Result<()> {
    subject.request.load(CONNECTIONS, WARM_UP)?;
    for _ in 0..ROUNDS {
        analyze(bench)?;
        let rate = bench.load(subject.name, &subject.request, (CONNECTIONS, DURATION))?;
        let Some(statements) = &subject.statements else {
            continue;
        };
        for (metric, pipelined) in [("of_plain", false), ("of_pipelined", true)] {
            let most = pgbench::rate(bench, statements, (CONNECTIONS, DURATION), pipelined)?;
            bench.report.add(subject.name, metric, rate * 100.0 / most);
        }
    }
    Ok(())
}

/// Renews the statistics, as autovacuum does once a minute. Plans that are kept since a table was empty would read all of it.
fn analyze(bench: &Bench<'_>) -> Result<()> {
    let url = &bench.running.stack.database_owner_url;
    bench.tools.psql(url, "ANALYZE").map(drop)
}

/// The token first, as its session does not last, and what makes many rows last.
fn subjects(bench: &Bench<'_>) -> Result<Vec<Subject>> {
    let (tenant, agent_id) = (&bench.seeded.tenant, &bench.seeded.agent);
    let agents = bench.agents("listed", MAX_CONNECTIONS)?;
    let update = |id: &String| {
        let path = format!("/api/tenants/{tenant}/agents/{id}");
        let body = json!({ "description": NUMBER }).to_string();
        let of = ("PATCH", &*path);
        Request::with_method(&bench.running.base, &bench.seeded.key, of, Some(&body))
    };
    let session = json!({ "agent_id": agent_id, "variables": { "company": "Acme" } });
    let mut started = session.clone();
    started["start"] = true.into();
    let sessions = format!("/api/tenants/{tenant}/sessions");
    let started = bench.client().post(&sessions, &started)?;
    let token = json!({ "session_id": started["id"] });
    let read = format!(
        "SELECT *, (SELECT CASE WHEN count(*) = 0 THEN 'unknown' ELSE 'ready' END FROM workers w \
         WHERE w.worker_name = agents.worker_name) FROM agents WHERE tenant_id = '{tenant}' AND id = '{agent_id}';\n"
    );
    let list = format!(
        "SELECT * FROM agents WHERE tenant_id = '{tenant}' AND id < 'ffffffff-ffff-ffff-ffff-ffffffffffff' \
         ORDER BY id DESC LIMIT 51;\n"
    );
    Ok(vec![
        Subject {
            name: "mint a join token",
            request: bench.request("tokens", Some(&token.to_string())),
            statements: None,
        },
        Subject {
            name: "read one agent",
            request: bench.request(&format!("agents/{agent_id}"), None),
            statements: Some(read),
        },
        Subject {
            name: "list 50 agents",
            request: bench.request("agents?limit=50", None),
            statements: Some(list),
        },
        Subject {
            name: "update an agent with If-Match",
            request: Request::in_turns(agents.iter().map(update))?,
            statements: None,
        },
        Subject {
            name: "create a session",
            request: bench.request("sessions", Some(&session.to_string())),
            statements: None,
        },
        Subject {
            name: "create an agent",
            request: bench.request("agents", Some(&agent(NUMBER).to_string())),
            statements: Some(create(tenant)),
        },
    ])
}

/// The statements that create an agent with its audit event.
fn create(tenant: &str) -> String {
    let metadata = agent("x")["metadata"].to_string();
    format!(
        "INSERT INTO agents (tenant_id, id, name, description, worker_name, metadata, revision, created_at, updated_at) \
         VALUES ('{tenant}', gen_random_uuid(), gen_random_uuid()::text, '', 'patchbay-agent', '{metadata}', 1, now(), now());\n\
         INSERT INTO audit_events (tenant_id, id, at, actor_kind, actor_id, action, resource_kind, resource_id, after, \
             changed, request_id, address) \
         VALUES ('{tenant}', gen_random_uuid(), now(), 'key', gen_random_uuid()::text, 'create', 'agent', \
             gen_random_uuid()::text, '{{\"name\": \"x\", \"metadata\": {metadata}}}', '{{name,metadata}}', \
             gen_random_uuid()::text, '127.0.0.1');\n"
    )
}

/// Reads of as many tenants as there are, in turns.
fn many_tenants(bench: &Bench<'_>) -> Result<()> {
    let running = bench.running;
    let operator = Client::new(&running.base, &running.operator_key);
    let mut requests = Vec::new();
    for n in 0..TENANTS {
        let body = json!({ "slug": format!("many-{n}"), "name": "Many" });
        let made = operator.post("/api/tenants", &body)?;
        let (tenant, key) = (
            seed::text(&made, "/tenant/id")?,
            seed::text(&made, "/secret")?,
        );
        let client = Client::new(&running.base, key);
        let path = format!("/api/tenants/{tenant}/agents");
        let made = client.post(&path, &agent("reception"))?;
        let path = format!("{path}/{}", seed::text(&made, "/id")?);
        requests.push(Request::new(&running.base, key, &path, None));
    }
    let request = Request::in_turns(requests)?;
    let row = format!("read one agent, {TENANTS} tenants");
    request.load(CONNECTIONS, WARM_UP)?;
    bench.load(&row, &request, (CONNECTIONS, DURATION))?;
    Ok(())
}
