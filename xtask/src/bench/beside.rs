//! Requests of a small tenant beside 10, 1,000 and 100,000 others, each with agents, a key and a file that can be
//! searched: what the others have may not cost it anything.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{
    load::{NUMBER, Request},
    subject::Bench,
};
use crate::{
    process::interrupted,
    seed::{self, text},
};

const OTHERS: [u32; 3] = [10, 1_000, 100_000];
const CONNECTIONS: usize = 4;
const WARM_UP: Duration = Duration::from_secs(2);
const DURATION: Duration = Duration::from_secs(10);

/// Runs the benchmark.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    let seeded = seed::seed(&bench.running.base, &bench.running.operator_key, "small")?;
    let bench = Bench {
        seeded: &seeded,
        ..*bench
    };
    ingest(&bench)?;
    let mut made = 0;
    for others in OTHERS {
        add_others(&bench, made + 1, others)?;
        made = others;
        for (name, request) in requests(&bench) {
            request.load(CONNECTIONS, WARM_UP)?;
            bench.load(
                &format!("beside {others}: {name}"),
                &request,
                (CONNECTIONS, DURATION),
            )?;
        }
    }
    println!("\na small tenant beside many others:");
    bench.report.print("beside ");
    Ok(())
}

fn requests(bench: &Bench<'_>) -> [(&'static str, Request); 4] {
    let agent = format!("agents/{}", bench.seeded.agent);
    let created = json!({ "name": NUMBER }).to_string();
    let search = json!({ "query": "opening hours", "mode": "keyword" }).to_string();
    [
        ("read", bench.request(&agent, None)),
        ("list", bench.request("agents?limit=5", None)),
        ("create", bench.request("agents", Some(&created))),
        ("search", bench.request("search", Some(&search))),
    ]
}

/// Has one file that can be searched.
fn ingest(bench: &Bench<'_>) -> Result<()> {
    let client = bench.client();
    let at = |rest: &str| format!("/api/tenants/{}/{rest}", bench.seeded.tenant);
    let sentence = "Our opening hours are from nine to five.";
    let file = client.upload(&at("files?name=hours.txt&ingest=true"), sentence.as_bytes())?;
    let status = at(&format!("files/{}/status", text(&file, "/id")?));
    loop {
        let status = client.get(&status)?;
        ensure!(status["state"] != "failed" && !interrupted(), "{status}");
        if status["state"] == "done" {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Copies the tenant, until there are `last` copies.
fn add_others(bench: &Bench<'_>, first: u32, last: u32) -> Result<()> {
    let tenant = &bench.seeded.tenant;
    let sql = format!(
        "DO $$
         DECLARE
             tenant tenants; key api_keys; agent agents; object objects; file files; ingest ingests; chunk chunks;
         BEGIN
             PERFORM set_config('app.tenant_id', '{tenant}', true);
             SELECT * INTO tenant FROM tenants WHERE id = '{tenant}';
             SELECT * INTO key FROM api_keys WHERE tenant_id = '{tenant}' LIMIT 1;
             SELECT * INTO agent FROM agents WHERE tenant_id = '{tenant}' AND id = '{agent}';
             SELECT * INTO object FROM objects WHERE tenant_id = '{tenant}' LIMIT 1;
             SELECT * INTO file FROM files WHERE tenant_id = '{tenant}' LIMIT 1;
             SELECT * INTO ingest FROM ingests WHERE tenant_id = '{tenant}' LIMIT 1;
             SELECT * INTO chunk FROM chunks WHERE tenant_id = '{tenant}' LIMIT 1;
             agent.active_binding_id := NULL;
             FOR n IN {first}..{last} LOOP
                 tenant.id := gen_random_uuid();
                 tenant.slug := 'beside-' || n;
                 PERFORM set_config('app.tenant_id', tenant.id::text, true);
                 key.tenant_id := tenant.id; agent.tenant_id := tenant.id; object.tenant_id := tenant.id;
                 file.tenant_id := tenant.id; ingest.tenant_id := tenant.id; chunk.tenant_id := tenant.id;
                 key.id := gen_random_uuid();
                 INSERT INTO tenants SELECT tenant.*;
                 INSERT INTO api_keys SELECT key.*;
                 FOR m IN 1..3 LOOP
                     agent.id := gen_random_uuid();
                     agent.name := 'agent ' || m;
                     INSERT INTO agents SELECT agent.*;
                 END LOOP;
                 INSERT INTO objects SELECT object.*;
                 INSERT INTO files SELECT file.*;
                 INSERT INTO ingests SELECT ingest.*;
                 INSERT INTO chunks SELECT chunk.*;
             END LOOP;
         END $$",
        agent = bench.seeded.agent,
    );
    let url = &bench.running.stack.database_owner_url;
    bench.tools.psql(url, &sql).context("the other tenants")?;
    for table in [
        "tenants", "api_keys", "agents", "objects", "files", "ingests", "chunks",
    ] {
        bench.tools.psql(url, &format!("VACUUM ANALYZE {table}"))?;
    }
    Ok(())
}
