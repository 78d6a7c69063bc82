//! Semantic search in 2,000 and 50,000 chunks without an index, and in 400,000 with the tenant's index; compared
//! to the bare statement, with the recall of exact search.
//!
//! The chunks are synthetic: each file has a centre near the embedding of a sentence, and its chunks are around
//! that centre. The queries are the sentences.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::subject::Bench;
use crate::{
    process,
    seed::{self, Client, Seeded, text},
};

const EXACT: [u32; 2] = [2_000, 50_000];
const INDEXED: u32 = 400_000;
/// Chunks of a file.
const FILE: u32 = 1_000;
/// Dimensions of the development model.
const DIMENSIONS: u32 = 384;
/// Hits that are compared.
const TOP: usize = 10;

const WHO: [&str; 8] = [
    "The miller",
    "A violinist",
    "Our landlady",
    "The captain",
    "Every beekeeper",
    "A clerk",
    "The nurse",
    "Nobody",
];
const WHAT: [&str; 6] = [
    "pays the rent on the first of the month",
    "repairs the wheel before the rain comes",
    "counts the stars from the harbour wall",
    "sells bread and honey on the market",
    "writes letters to the ministry of transport",
    "paints the ladder green in spring",
];

/// Runs the benchmark.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    for size in EXACT {
        let world = World::seed(bench, size)?;
        println!("\nsearch by meaning, {size} chunks, all compared:");
        world.measure(bench, &world.plain())?;
        println!("  recall@{TOP} {:.4}", world.recall(bench)?);
    }
    let world = World::seed(bench, INDEXED)?;
    println!("\nsearch by meaning, {INDEXED} chunks, by the index of the tenant:");
    let began = Instant::now();
    let mut index = Command::new(bench.binary);
    index.arg("index").env(
        "DATABASE_OWNER_URL",
        &bench.running.stack.database_owner_url,
    );
    process::run("patchbay-api index", &mut index)?;
    println!("  made in {:.0} s", began.elapsed().as_secs_f64());
    world.measure(bench, &world.by_index())?;
    println!("  recall@{TOP} {:.4}", world.recall(bench)?);
    for line in world.sizes(bench)?.lines() {
        println!("  {line}");
    }
    Ok(())
}

/// A tenant with chunks around the sentences.
struct World {
    seeded: Seeded,
    client: Client,
    sentences: Vec<String>,
    /// The files of the sentences, in order.
    files: Vec<String>,
    model: String,
}

impl World {
    fn seed(bench: &Bench<'_>, size: u32) -> Result<Self> {
        let running = bench.running;
        let slug = format!("search-{size}");
        let seeded = seed::seed(&running.base, &running.operator_key, &slug)?;
        let client = Client::new(&running.base, &seeded.key);
        let sentences: Vec<_> = WHO
            .iter()
            .flat_map(|who| WHAT.map(|what| format!("{who} {what}.")))
            .collect();
        let mut world = Self {
            seeded,
            client,
            sentences,
            files: Vec::new(),
            model: String::new(),
        };
        for (n, sentence) in world.sentences.iter().enumerate() {
            let path = world.at(&format!("files?name={n}.txt&ingest=true"));
            let file = world.client.upload(&path, sentence.as_bytes())?;
            world.files.push(text(&file, "/id")?.to_owned());
        }
        for file in &world.files {
            world.model = world.ended(file)?;
        }
        world.fill(bench, size)?;
        Ok(world)
    }

    fn at(&self, rest: &str) -> String {
        format!("/api/tenants/{}/{rest}", self.seeded.tenant)
    }

    /// Waits for the ingest of a file; returns its model.
    fn ended(&self, file: &str) -> Result<String> {
        let path = self.at(&format!("files/{file}/status"));
        loop {
            let status = self.client.get(&path)?;
            if status["state"] == "done" {
                return Ok(text(&status, "/model")?.to_owned());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn fill(&self, bench: &Bench<'_>, size: u32) -> Result<()> {
        let (tenant, model) = (&self.seeded.tenant, &self.model);
        let files = size / FILE;
        let sentences: Vec<_> = self.files.iter().map(|id| format!("'{id}'")).collect();
        let sql = format!(
            "SET app.tenant_id = '{tenant}'; SET work_mem = '256MB';
             CREATE TEMP TABLE made AS SELECT gen_random_uuid() AS id, n FROM generate_series(1, {files}) AS n;
             INSERT INTO files (tenant_id, id, object_id, name, media_type, size, sha256, metadata, last_generation,
                                searchable_generation, revision, created_at, updated_at)
             SELECT f.tenant_id, made.id, f.object_id, 'bench-' || n || '.txt', f.media_type, f.size, f.sha256, f.metadata,
                    1, 1, 1, f.created_at, f.updated_at
             FROM files f, made WHERE f.tenant_id = '{tenant}' AND f.id = {first};
             INSERT INTO ingests (tenant_id, file_id, generation, state, stage, stages, settings, model, pages, chunks,
                                  attempts, created_at, finished_at)
             SELECT i.tenant_id, made.id, 1, i.state, i.stage, i.stages, i.settings, i.model, 1, {FILE}, 1, i.created_at,
                    i.finished_at
             FROM ingests i, made WHERE i.tenant_id = '{tenant}' AND i.file_id = {first};
             CREATE TEMP TABLE centres AS
             SELECT made.id, array_agg(x + (random() - 0.5) * 0.10 ORDER BY at) AS centre
             FROM made
             JOIN chunks c ON c.tenant_id = '{tenant}' AND c.ordinal = 0
                 AND c.file_id = (ARRAY[{all}]::uuid[])[1 + made.n % {count}]
             CROSS JOIN LATERAL unnest(c.embedding::vector::real[]) WITH ORDINALITY AS e (x, at)
             GROUP BY made.id;
             INSERT INTO chunks (tenant_id, file_id, generation, ordinal, headings, starts_at, ends_at, tokens, model,
                                 embedding, words, text)
             SELECT '{tenant}', id, 1, n, '{{}}', 0, 1, 1, '{model}',
                    (SELECT array_agg(x + (random() - 0.5) * 0.10) FROM unnest(centre) AS x WHERE n >= 0)
                        ::vector({DIMENSIONS})::halfvec,
                    ''::tsvector, repeat('Some text of a chunk, as long as they are. ', 20)
             FROM (SELECT id, centre, n FROM centres, generate_series(0, {FILE} - 1) AS n ORDER BY id, n) AS places",
            first = sentences[0],
            all = sentences.join(", "),
            count = sentences.len(),
        );
        let url = &bench.running.stack.database_owner_url;
        bench.tools.psql(url, &sql)?;
        bench.tools.psql(url, "VACUUM ANALYZE chunks")?;
        bench.tools.psql(url, "VACUUM ANALYZE files, ingests")?;
        Ok(())
    }

    fn search(&self, sentence: &str) -> Result<Value> {
        let body = json!({ "query": sentence, "mode": "semantic", "limit": TOP });
        self.client.post(&self.at("search"), &body)
    }

    /// Latencies of clients, without the embedding of the query.
    fn measure(&self, bench: &Bench<'_>, bare: &str) -> Result<()> {
        let (mut whole, mut inside, mut embed) = (Vec::new(), Vec::new(), 0.0);
        for round in 0..3 {
            for sentence in &self.sentences {
                let began = Instant::now();
                let answer = self.search(sentence)?;
                let took = |name: &str| answer["took_ms"][name].as_f64().unwrap_or_default();
                if round > 0 {
                    whole.push(began.elapsed().as_secs_f64() * 1000.0 - took("embed"));
                    inside.push(took("search"));
                    embed += took("embed");
                }
            }
        }
        let count = whole.len();
        for times in [&mut whole, &mut inside] {
            times.sort_by(f64::total_cmp);
        }
        let at = |times: &[f64], share: f64| times[(count as f64 * share) as usize];
        let (p50, p95) = (at(&whole, 0.5), at(&whole, 0.95));
        println!(
            "  p50 {p50:.1} ms   p95 {p95:.1} ms over HTTP   ({:.1} ms in the search itself; embedding the question {:.1} ms more)",
            at(&inside, 0.5),
            embed / count as f64
        );
        // A busy service has no cores to spare for one statement.
        for (how, most) in [("one core", 0), ("all cores", 2)] {
            let bare = self.bare(bench, bare, most)?;
            println!(
                "  the bare statement {bare:.1} ms on {how}: {:.2} times that",
                p50 / bare
            );
        }
        Ok(())
    }

    /// The simplest statement for an exact search.
    fn plain(&self) -> String {
        let (tenant, model) = (&self.seeded.tenant, &self.model);
        format!(
            "SELECT file_id, ordinal, text, embedding <=> '{{vector}}' AS distance FROM chunks
             WHERE tenant_id = '{tenant}' AND model = '{model}' ORDER BY distance, file_id, ordinal LIMIT {TOP};"
        )
    }

    /// The same with the index.
    fn by_index(&self) -> String {
        let (tenant, model) = (&self.seeded.tenant, &self.model);
        format!(
            "SELECT file_id, ordinal, text FROM chunks WHERE tenant_id = '{tenant}' AND model = '{model}'
             ORDER BY (embedding::halfvec({DIMENSIONS})) <=> '{{vector}}'::halfvec({DIMENSIONS}) LIMIT 200;"
        )
    }

    /// Mean milliseconds of a statement over the sentences.
    fn bare(&self, bench: &Bench<'_>, statement: &str, workers: u32) -> Result<f64> {
        let url = &bench.running.stack.database_owner_url;
        let mut scripts = Vec::new();
        for (n, file) in self.files.iter().enumerate().step_by(6) {
            let of = format!(
                "SELECT embedding FROM chunks WHERE tenant_id = '{}' AND file_id = '{file}'",
                self.seeded.tenant
            );
            let vector = bench.tools.psql(url, &of)?;
            let path = bench.folder.join(format!("search-{n}.sql"));
            fs::write(
                &path,
                statement
                    .replace("{vector}", vector.trim())
                    .replace('\n', " "),
            )?;
            scripts.push(path);
        }
        let mut pgbench = Command::new(bench.tools.postgres.join("pgbench"));
        pgbench
            .args(["--no-vacuum", "--client=1", "--transactions=100"])
            .env(
                "PGOPTIONS",
                format!("-c hnsw.ef_search=600 -c hnsw.iterative_scan=relaxed_order -c max_parallel_workers_per_gather={workers}"),
            );
        for script in &scripts {
            pgbench.arg("--file").arg(script);
        }
        let output = pgbench.arg(&bench.running.stack.database_url).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let average = said
            .lines()
            .find_map(|line| line.strip_prefix("latency average = "));
        let average = average.and_then(|line| line.split(' ').next()?.parse().ok());
        average
            .with_context(|| format!("pgbench: {said}{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// The share of the nearest chunks, according to an exact search, that are found.
    fn recall(&self, bench: &Bench<'_>) -> Result<f64> {
        let (tenant, url) = (&self.seeded.tenant, &bench.running.stack.database_owner_url);
        let mut found = 0;
        for (sentence, file) in self.sentences.iter().zip(&self.files) {
            let sql = format!(
                "SELECT file_id || ':1:' || ordinal FROM chunks WHERE tenant_id = '{tenant}'
                 ORDER BY embedding <=> (SELECT embedding FROM chunks WHERE tenant_id = '{tenant}' AND file_id = '{file}'),
                          file_id, ordinal LIMIT {TOP}"
            );
            let nearest = bench.tools.psql(url, &sql)?;
            let answer = self.search(sentence)?;
            let hits = answer["data"].as_array().context("no hits")?;
            found += hits
                .iter()
                .filter(|hit| nearest.lines().any(|id| hit["chunk_id"] == id))
                .count();
        }
        Ok(found as f64 / (self.sentences.len() * TOP) as f64)
    }

    fn sizes(&self, bench: &Bench<'_>) -> Result<String> {
        let sql = "SELECT 'all chunks of this run: ' || count(*) || ', table ' || pg_size_pretty(pg_table_size('chunks'))
                       || ', indexes ' || pg_size_pretty(pg_indexes_size('chunks')) FROM chunks
                   UNION ALL
                   SELECT relname || ' ' || pg_size_pretty(pg_relation_size(oid)) FROM pg_class
                   WHERE starts_with(relname, 'chunks_hnsw_')";
        bench
            .tools
            .psql(&bench.running.stack.database_owner_url, sql)
    }
}
