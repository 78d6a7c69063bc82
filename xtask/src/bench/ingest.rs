//! Duration of ingests, and latency of reads of an agent meanwhile.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{load::Request, subject::Bench};
use crate::seed::{Client, text};

/// Runs the benchmark.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    let (running, seeded) = (bench.running, bench.seeded);
    let client = Client::new(&running.base, &seeded.key);
    let at = |rest: &str| format!("/api/tenants/{}/{rest}", seeded.tenant);
    let read = at(&format!("agents/{}", seeded.agent));
    let request = Request::new(&running.base, &seeded.key, &read, None);
    request.load(4, Duration::from_secs(2))?;
    let alone = request.load(4, Duration::from_secs(8))?;
    let words = (0..30_000).map(|n| {
        format!("Wheel {n} turns and the road goes on for a while, past mills and ponds. ")
    });
    let began = Instant::now();
    let file = client.upload(
        &at("files?name=long.txt&ingest=true"),
        words.collect::<String>().as_bytes(),
    )?;
    let status = at(&format!("files/{}/status", text(&file, "/id")?));
    let stage = |name: &str| client.get(&status).map(|status| status["stage"] == name);
    while !stage("embed")? {
        thread::sleep(Duration::from_millis(50));
    }
    let read_in = began.elapsed().as_secs_f64();
    let busy = request.load(4, Duration::from_secs(8))?;
    let still = stage("embed")?;
    println!("\nread one agent, 4 connections, p99:");
    let (a, b) = (alone.at(0.99), busy.at(0.99));
    println!(
        "  alone {a:.2} ms, while a file is ingested {b:.2} ms: {:.1} times (still at it: {still})",
        b / a
    );
    let (from, done) = (Instant::now(), chunks_done(&client, &status)?);
    thread::sleep(Duration::from_secs(10));
    let more = chunks_done(&client, &status)? - done;
    println!(
        "ingest of 2 MB of text: read and cut in {read_in:.1} s, then {:.1} chunks a second",
        more / from.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Chunks whose embeddings are stored.
fn chunks_done(client: &Client, status: &str) -> Result<f64> {
    let status = client.get(status)?;
    let stages = status["stages"].as_array().cloned().unwrap_or_default();
    let embed = stages.iter().find(|stage| stage["stage"] == "embed");
    Ok(embed
        .and_then(|stage| stage["done"].as_f64())
        .unwrap_or_default())
}
