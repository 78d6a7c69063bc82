//! Searches by meaning in files of 2,000 and of 50,000 chunks, beside the bare statement; and reads of
//! an agent while a file is ingested.

use std::{fs, process::Command, thread, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Bench, load::Request};
use crate::seed::{Client, text};

const SIZES: [u32; 2] = [2_000, 50_000];
const SEARCHES: usize = 40;
/// What the development model makes.
const DIMENSIONS: u32 = 384;

/// Measures it.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    let (running, seeded) = (bench.running, bench.seeded);
    let client = Client::new(&running.base, &seeded.key);
    let at = |rest: &str| format!("/api/tenants/{}/{rest}", seeded.tenant);
    for chunks in SIZES {
        let file = seed(bench, &client, chunks)?;
        let mut found = Vec::new();
        for number in 0..SEARCHES {
            let body = json!({ "query": format!("question {number}"), "mode": "semantic", "file_ids": [file] });
            let answer = client.post(&at("search"), &body)?;
            let took = |name: &str| answer["took_ms"][name].as_f64().unwrap_or_default();
            found.push((took("search"), took("embed")));
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (p50, p95) = (found[SEARCHES / 2].0, found[SEARCHES * 95 / 100].0);
        let embed = found.iter().map(|f| f.1).sum::<f64>() / SEARCHES as f64;
        let bare = bare(bench, &file)?;
        println!("\nsearch by meaning, {chunks} chunks, exact:");
        println!("  p50 {p50:.1} ms   p95 {p95:.1} ms   (embedding the question: {embed:.1} ms)");
        println!(
            "  the bare statement {bare:.1} ms: {:.2} times that",
            p50 / bare
        );
    }
    reads_under_ingest(bench, &client)
}

/// A file with chunks in clusters around its own centres.
fn seed(bench: &Bench<'_>, client: &Client, chunks: u32) -> Result<String> {
    let tenant = &bench.seeded.tenant;
    let path = format!("/api/tenants/{tenant}/files?name=bench-{chunks}.txt&ingest=true");
    let file = client.upload(&path, format!("Bench of {chunks}.").as_bytes())?;
    let file = text(&file, "/id")?.to_owned();
    let status = format!("/api/tenants/{tenant}/files/{file}/status");
    let model = loop {
        let status = client.get(&status)?;
        if status["state"] == "done" {
            break text(&status, "/model")?.to_owned();
        }
        thread::sleep(Duration::from_millis(100));
    };
    let sql = format!(
        "SET app.tenant_id = '{tenant}';
         WITH centres AS MATERIALIZED (
             SELECT c, array_agg(random() - 0.5 ORDER BY d) AS centre
             FROM generate_series(0, 63) AS c, generate_series(1, {DIMENSIONS}) AS d GROUP BY c
         )
         INSERT INTO chunks (tenant_id, file_id, generation, ordinal, headings, starts_at, ends_at, tokens, model, embedding, words, text)
         SELECT '{tenant}', '{file}', 1, n, '{{}}', 0, 1, 1, '{model}',
                (SELECT array_agg(x + (random() - 0.5) * 0.6)::float4[]::vector({DIMENSIONS})::halfvec FROM unnest(centre) AS x WHERE n > 0),
                ''::tsvector, repeat('Some text of a chunk. ', 40)
         FROM generate_series(1, {chunks}) AS n JOIN centres ON c = n % 64;
         UPDATE ingests SET chunks = {chunks} WHERE tenant_id = '{tenant}' AND file_id = '{file}'"
    );
    let url = &bench.running.stack.database_owner_url;
    bench.tools.psql(url, &sql)?;
    bench.tools.psql(url, "VACUUM ANALYZE chunks")?;
    Ok(file)
}

/// Milliseconds of the bare statement, on average.
fn bare(bench: &Bench<'_>, file: &str) -> Result<f64> {
    let vector: Vec<String> = (0..DIMENSIONS)
        .map(|n| format!("{:.3}", f64::from(n % 7) - 3.0))
        .collect();
    let script = format!(
        "SELECT ordinal, embedding <=> '[{}]' AS distance FROM chunks
         WHERE tenant_id = '{}' AND file_id = '{file}' AND generation = 1 ORDER BY distance, ordinal LIMIT 10;",
        vector.join(","),
        bench.seeded.tenant
    );
    let path = bench.folder.join("search.sql");
    fs::write(&path, script.replace('\n', " "))?;
    let output = Command::new(bench.tools.postgres.join("pgbench"))
        .args(["--no-vacuum", "--client=1", "--transactions=40", "--file"])
        .arg(&path)
        .arg(&bench.running.stack.database_url)
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let average = told
        .lines()
        .find_map(|line| line.strip_prefix("latency average = "));
    let average = average.and_then(|line| line.split(' ').next()?.parse().ok());
    average.with_context(|| format!("pgbench: {told}{}", String::from_utf8_lossy(&output.stderr)))
}

/// How long reads take while the model reads a file, and otherwise.
fn reads_under_ingest(bench: &Bench<'_>, client: &Client) -> Result<()> {
    let (running, seeded) = (bench.running, bench.seeded);
    let path = format!("/api/tenants/{}/agents/{}", seeded.tenant, seeded.agent);
    let request = Request::new(&running.base, &seeded.key, &path, None);
    request.load(4, Duration::from_secs(2))?;
    let alone = request.load(4, Duration::from_secs(8))?;
    let words =
        "Wheels turn and the road goes on for a while, past mills and ponds. ".repeat(20_000);
    let upload = format!(
        "/api/tenants/{}/files?name=long.txt&ingest=true",
        seeded.tenant
    );
    let file = client.upload(&upload, words.as_bytes())?;
    let status = format!(
        "/api/tenants/{}/files/{}/status",
        seeded.tenant,
        text(&file, "/id")?
    );
    let embedding = |status: &Value| status["stage"] == "embed" && status["state"] == "running";
    while !embedding(&client.get(&status)?) {
        thread::sleep(Duration::from_millis(100));
    }
    let busy = request.load(4, Duration::from_secs(8))?;
    let still = embedding(&client.get(&status)?);
    println!("\nread one agent, 4 connections, p99:");
    let (a, b) = (alone.at(0.99), busy.at(0.99));
    println!(
        "  alone {a:.2} ms, while a file is ingested {b:.2} ms: {:.1} times (still at it: {still})",
        b / a
    );
    Ok(())
}
